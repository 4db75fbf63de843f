"""Classes and functions by name: `module:qualname`, and what such a name leads to.

A name is only used when it leads back to the same object in another process. Classes and
functions of a function body, lambdas, and everything typed into a notebook or a REPL have no such
name; they travel by value.
"""

import importlib
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from volant.values.pickles import write_pickle
from volant.values.plans import Plan
from volant.values.wire import (
    CLASS,
    FUNCTION,
    Misread,
    Sink,
    Source,
    read_text,
    write_text,
)


class PendingModule(ModuleType):
    """Stands for a module that is loaded when a value names something in it, and not before."""

    def __init__(self, name: str, *, load: Callable[[], ModuleType]) -> None:
        """*load* puts the module itself in the place of this one, and returns it."""
        super().__init__(name)
        self._load = load

    def load(self) -> ModuleType:
        """The module itself."""
        return self._load()


def name_of(thing: Any) -> str | None:
    """`module:qualname` of a class or function, or None when that would not lead to it."""
    generic: Any = getattr(thing, "__pydantic_generic_metadata__", None)
    if generic and generic["origin"] is not None:
        return _parametrised_name(generic["origin"], generic["args"])
    qualname: str | None = getattr(thing, "__qualname__", None)
    module: str | None = getattr(thing, "__module__", None)
    if qualname is None or "<" in qualname or "[" in qualname:
        return None
    if module is None or (module == "__main__" and not hasattr(sys.modules["__main__"], "__file__")):
        return None
    found = _walk(sys.modules.get(module), qualname)
    return f"{module}:{qualname}" if found is thing else None


def resolve(name: str) -> Any:
    """What *name* leads to; its module is imported.

    Raises:
        Misread: the module or the attribute is not there.
    """
    if name.endswith("]"):
        return _resolve_parametrised(name)
    module_name, colon, qualname = name.partition(":")
    if not (colon and module_name and qualname):
        raise Misread(f"{name!r} is not a name of the form 'module:qualname'")
    module = sys.modules.get(module_name)
    if module is None or isinstance(module, PendingModule):
        try:
            module = importlib.import_module(module_name) if module is None else module.load()
        except Exception as error:
            raise Misread(f"the module of {name!r} cannot be imported: {error}") from error
    found = _walk(module, qualname)
    if found is None:
        short = name.rpartition(".")[2].rpartition(":")[2]
        raise Misread(
            f"{name!r} is not there any more",
            hint=f"where it was renamed, keep its old name beside the new one: {short} = NewName",
        )
    return found


def resolve_class(name: str, fallback: type | None = None) -> type:
    """The class that *name* leads to, or *fallback* when it is not there and the qualname is the same.

    A script's classes are named after `__main__` in one process and after the file in another.
    """
    try:
        found = resolve(name)
    except Misread:
        if fallback is None or name.partition(":")[2].partition("[")[0] != fallback.__qualname__.partition("[")[0]:
            raise
        return fallback
    if not isinstance(found, type):
        raise Misread(f"found {name!r}, which is not a class")
    return found


class ClassPlan(Plan):
    """`type[X]`: a class, by name where it has one."""

    __slots__ = ("bounds",)
    cls = type

    def __init__(self, label: str, bounds: tuple[type[Any], ...]) -> None:
        super().__init__(label)
        self.bounds = bounds

    def write(self, value: Any, out: Sink) -> None:
        if not isinstance(value, type) or not _is_under(value, self.bounds):
            raise self.misfit(value)
        write_reference(CLASS, value, out)

    def read(self, source: Source) -> Any:
        value = source.dynamic.read(source) if source.peek() != CLASS else read_class(source)
        if not isinstance(value, type) or not _is_under(value, self.bounds):
            raise Misread(f"found {value!r}, wanted {self.label}")
        return value


class CallablePlan(Plan):
    """`Callable`: a function or a task, by name where it has one."""

    __slots__ = ()

    def write(self, value: Any, out: Sink) -> None:
        if not callable(value):
            raise self.misfit(value)
        out.dynamic.write(value, out)

    def read(self, source: Source) -> Any:
        value = source.dynamic.read(source)
        if not callable(value):
            raise Misread(f"found {value!r}, wanted {self.label}")
        return value

    def takes(self, cls: type[Any]) -> bool:
        return callable(getattr(cls, "__call__", None))  # noqa: B004 - asks about instances, not the class


class FunctionPlan(Plan):
    """Functions of Python and of C, by name where they have one."""

    __slots__ = ()
    tags = frozenset({FUNCTION})

    def write(self, value: Any, out: Sink) -> None:
        write_reference(FUNCTION, value, out)

    def read(self, source: Source) -> Any:
        source.pos += 1
        value = resolve(read_text(source))
        if not callable(value):
            raise Misread(f"found {value!r}, wanted a function")
        return value


def write_reference(tag: int, thing: Any, out: Sink) -> None:
    """Write a class or function by name, or by value when it has none."""
    name = name_of(thing)
    if name is None:
        write_pickle(thing, out)
    else:
        out.append(tag)
        write_text(name, out)


def read_class(source: Source) -> type:
    """Read a class by name."""
    source.pos += 1
    return resolve_class(read_text(source))


def _walk(found: Any, qualname: str) -> Any:
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return found


def _parametrised_name(origin: Any, arguments: tuple[Any, ...]) -> str | None:
    """`module:Box[module:int]`: such a class is made on demand, no module holds it."""
    names = [name_of(part) for part in (origin, *arguments) if isinstance(part, type)]
    if len(names) != 1 + len(arguments) or None in names:
        return None
    return f"{names[0]}[{','.join(str(name) for name in names[1:])}]"


def _resolve_parametrised(name: str) -> Any:
    origin, _, rest = name[:-1].partition("[")
    parts = [""]
    depth = 0
    for char in rest:
        depth += (char == "[") - (char == "]")
        if char == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += char
    arguments = tuple(resolve(part) for part in parts)
    try:
        return resolve(origin)[arguments]
    except TypeError as error:
        raise Misread(f"{name!r} cannot be made: {error}") from error


def _is_under(cls: type[Any], bounds: tuple[type[Any], ...]) -> bool:
    try:
        return issubclass(cls, bounds)
    except TypeError:
        return True
