"""Values of the libraries that people compute with: each is taken apart into plain values and arrays, and put together.

The adapter of a library is imported when a value of it comes by, or bytes that name one: who has no frames, loads
nothing for them.
"""

import importlib
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from volant.values.pickles import write_pickle
from volant.values.plans import Plan
from volant.values.wire import COMPOSED, Fault, Misread, Sink, Source, read_text, write_text

_ADAPTERS: Final = {
    "numpy": "volant.values.foreign.numpy_values",
    "pandas": "volant.values.foreign.pandas_values",
    "polars": "volant.values.foreign.polars_values",
    "pyarrow": "volant.values.foreign.arrow_values",
}


INSTALL_FRAMES: Final = "pip install 'volant[frames]' brings it"


class NotComposed(Exception):
    """A value is not all that its parts would say; it is pickled instead."""


class Composition(NamedTuple):
    """How the instances of one class are taken apart and put together."""

    name: str
    """`library:Class`; part of the bytes."""
    take_apart: Callable[[Any], tuple[Any, ...]]
    """Gives the shape, or None, then the parts; may raise `NotComposed`."""
    put_together: Callable[[tuple[Any, ...]], Any]
    """Makes the value of the same."""


def composition_of(cls: type[Any]) -> Composition | None:
    """How instances of exactly *cls* are taken apart, if they are."""
    library = cls.__module__.partition(".")[0]
    if library not in _ADAPTERS:
        return None
    found: dict[type, Composition] = importlib.import_module(_ADAPTERS[library]).BY_CLASS
    return found.get(cls)


def composition_named(name: str) -> Composition:
    """The composition that bytes name."""
    library, _, kind = name.partition(":")
    if library not in _ADAPTERS:
        raise Misread(f"found a {name!r}, which this version of Volant does not know")
    try:
        adapter = importlib.import_module(_ADAPTERS[library])
    except ImportError as error:
        extra = f"; {INSTALL_FRAMES}" if library == "pyarrow" else ""
        raise Misread(f"found a {kind} of {library}, but {library} is not installed here{extra}") from error
    found: Composition | None = adapter.BY_NAME.get(name)
    if found is None:
        raise Misread(f"found a {name!r}, which this version of Volant does not know")
    return found


class ComposedPlan(Plan):
    """Instances of a class that has a composition."""

    __slots__ = ("composition",)
    tags = frozenset({COMPOSED})

    def __init__(self, label: str, composition: Composition) -> None:
        super().__init__(label)
        self.composition = composition

    def write(self, value: Any, out: Sink) -> None:
        mark = out.mark()
        try:
            parts = self.composition.take_apart(value)
            out.append(COMPOSED)
            write_text(self.composition.name, out)
            out.dynamic.write(parts, out)
        except NotComposed:
            out.rollback(mark)
            write_pickle(value, out)
        except Fault as fault:
            fault.steps.clear()  # they lead through the parts, which nobody sees
            raise
        out.opaque = mark.opaque + len(out) - mark.size

    def read(self, source: Source) -> Any:
        return read_composed(source)


class AnyComposedPlan(Plan):
    """Whatever composed value the bytes name."""

    __slots__ = ()
    tags = frozenset({COMPOSED})

    def write(self, value: Any, out: Sink) -> None:
        raise self.misfit(value)

    def read(self, source: Source) -> Any:
        return read_composed(source)


def read_composed(source: Source) -> Any:
    """Read a composed value with its tag."""
    source.pos += 1
    composition = composition_named(read_text(source))
    parts = source.dynamic.read(source)
    if not isinstance(parts, tuple):
        raise Misread(f"found damaged parts of a {composition.name}")
    return composition.put_together(parts)  # pyright: ignore[reportUnknownArgumentType]
