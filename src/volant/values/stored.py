"""What files, directories and frames have in common: their content is in the blob store, and a value only refers to it.

Outside a run, too: where the store is, whoever puts the product together says once.
"""

import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Final, Self

from volant.model.errors import NotSupportedError
from volant.model.payloads import Blob
from volant.ports.blobs import Blobs
from volant.values.contents import read_place, write_blob
from volant.values.plans import Plan
from volant.values.wire import (
    HASHED,
    STORED,
    Misread,
    OpenBlobs,
    Part,
    Sink,
    Source,
    class_of,
    read_size,
    read_text,
    write_size,
    write_text,
)


class Stores:
    """Where content goes that is not part of a value being read."""

    def __init__(self) -> None:
        self.current: OpenBlobs | None = None
        """Gives the store of the running action, outside a run that of the settings."""

    def open(self) -> Blobs:
        """The store of where the caller is."""
        if self.current is None:
            raise NotSupportedError("no blob store is known here", hint="import volant.io")
        return self.current()


STORES: Final = Stores()


class Stored(ABC):
    """A value whose content is in the blob store, or somewhere else by URI."""

    kind: ClassVar[str]
    named_by: ClassVar[str]
    """What a command line takes for one."""
    source_store: OpenBlobs | None = None
    """Gives the store that it was read from; without one, that of where the caller is."""

    @property
    @abstractmethod
    def hash(self) -> str | None:
        """What it is recognised by instead of its content, if that was given."""

    @property
    def is_external(self) -> bool:
        """Whether its content is not in the store: it may change, so without a `hash` it has no digest."""
        return False

    @abstractmethod
    def facts(self) -> tuple[Any, ...]:
        """What there is to it beside its content: plain values."""

    @abstractmethod
    def contents(self) -> Sequence[tuple[str, Blob]]:
        """Its blobs by name, the names in order. Stores what is not stored yet.

        Raises:
            Unencodable: it has no content yet.
        """

    @classmethod
    @abstractmethod
    def remade(cls, facts: tuple[Any, ...], contents: Sequence[tuple[str, Blob]]) -> Self:
        """The value of `facts` and `contents`."""

    @classmethod
    @abstractmethod
    def at_path(cls, path: str) -> Self:
        """One made of what is at a path of this machine.

        Raises:
            OSError: it is not there, or cannot be read.
        """

    def blobs(self) -> Blobs:
        """The store that has its content."""
        return STORES.open() if self.source_store is None else self.source_store()

    @classmethod
    def make_plan(cls, label: str) -> Plan:
        """How the codec writes and reads it."""
        return StoredPlan(label, cls)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Stored) or type(other) is not type(self):
            return NotImplemented
        return (self.facts(), list(self.contents())) == (other.facts(), list(other.contents()))

    def __hash__(self) -> int:
        return hash((self.kind, self.facts()))

    def __reduce__(self) -> Any:
        return _remade, (type(self), self.facts(), tuple(self.contents()))


class StoredPlan(Plan):
    """Files, directories and frames."""

    __slots__ = ("cls",)
    tags = frozenset({STORED})

    def __init__(self, label: str, cls: type[Stored]) -> None:
        super().__init__(label)
        self.cls = cls

    def write(self, value: Any, out: Sink) -> None:
        if class_of(value) is not self.cls:
            self.write_kin(value, out)
            return
        stored: Stored = value
        if stored.hash is not None:
            out.rehash = True
            if out.hashing:
                out.append(HASHED)
                write_text(stored.kind, out)
                write_text(stored.hash, out)
                return
        elif stored.is_external:
            out.digestable = False
        mark = out.mark()
        contents = stored.contents()
        out.append(STORED)
        write_text(stored.kind, out)
        out.dynamic.write(stored.facts(), out)
        write_size(len(contents), out)
        for name, blob in contents:
            write_text(name, out)
            write_blob(Part(blob=blob), out)
        out.opaque = mark.opaque + len(out) - mark.size

    def read(self, source: Source) -> Any:
        if source.peek() != STORED:
            return self.read_kin(source)
        value = read_stored(source)
        if not isinstance(value, self.cls):
            raise Misread(f"found a {value.kind}, wanted {self.label}")
        return value


class AnyStoredPlan(Plan):
    """Whichever of them the bytes name."""

    __slots__ = ()
    tags = frozenset({STORED})

    def write(self, value: Any, out: Sink) -> None:
        raise self.misfit(value)

    def read(self, source: Source) -> Any:
        return read_stored(source)


def stored_class(cls: type[Any]) -> type[Stored] | None:
    """*cls*, if it is one of these."""
    return cls if issubclass(cls, Stored) and cls is not Stored else None


def read_stored(source: Source) -> Stored:
    """Read a stored value with its tag."""
    source.pos += 1
    kind = read_text(source)
    facts = source.dynamic.read(source)
    contents: list[tuple[str, Blob]] = []
    for _ in range(read_size(source)):
        name = read_text(source)
        place = read_place(source)
        if not isinstance(place, Blob):
            raise Misread(f"found bytes in place of the content of a {kind}")
        contents.append((name, place))
    cls = _class_named(kind)
    if cls is None or not isinstance(facts, tuple):
        raise Misread(f"found a stored {kind!r}, which this version of Volant does not know")
    made = cls.remade(facts, contents)  # pyright: ignore[reportUnknownArgumentType]
    made.source_store = source.blobs
    return made


def _class_named(kind: str) -> type[Stored] | None:
    if "volant.values.files" not in sys.modules:
        from importlib import import_module

        for name in ("files", "directories", "dataframes"):
            import_module(f"volant.values.{name}")
    return next((cls for cls in Stored.__subclasses__() if cls.kind == kind), None)


def _remade(cls: type[Stored], facts: tuple[Any, ...], contents: Sequence[tuple[str, Blob]]) -> Stored:
    return cls.remade(facts, contents)
