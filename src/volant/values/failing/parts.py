"""An exception taken apart into all that it holds, and an instance put together from it without its constructor.

`BaseException.__reduce__` calls the class with `args`, which fails for every constructor that takes other arguments.
Here an instance is made by the `__new__` of its nearest builtin class, and everything that an exception can hold is
set afterwards: `args`, the fields of builtin classes (`OSError.filename`), `__slots__` and `__dict__`.
"""

import builtins
from collections.abc import Sequence
from types import FunctionType, MemberDescriptorType
from typing import Any, NamedTuple

from volant.values.failing.introspection import ancestry, instance_size, is_a, layout_base, namespace, type_name

DETAILS = "__volant_details__"
"""Where what Volant knows of an exception is kept: a slot of an extended class, else a key of `__dict__`."""

ARGS: Any = BaseException.__dict__["args"]
ATTRIBUTES: Any = BaseException.__dict__["__dict__"]
CAUSE: Any = BaseException.__dict__["__cause__"]
CONTEXT: Any = BaseException.__dict__["__context__"]
SUPPRESS_CONTEXT: Any = BaseException.__dict__["__suppress_context__"]
TRACEBACK: Any = BaseException.__dict__["__traceback__"]
GROUP_MESSAGE: Any = BaseExceptionGroup.__dict__["message"]
GROUP_MEMBERS: Any = BaseExceptionGroup.__dict__["exceptions"]
"""Descriptors of the builtin classes: no class below them can change what they read and write."""

_WRITTEN: Any = OSError.__dict__["characters_written"]
_POINTER = 8


Field = tuple[int, str, Any]
"""A value outside `__dict__`: place of its class in the method resolution order, so that equal names stay apart, its
name, and itself."""


class Parts(NamedTuple):
    """All that an exception holds, but for its links to other exceptions and its traceback."""

    args: tuple[Any, ...]
    fields: Sequence[Field]
    attributes: dict[Any, Any]


def builtin_class(cls: type) -> type[BaseException]:
    """The builtin class whose fields instances of an exception class have."""
    while not _is_builtin(cls):
        cls = layout_base(cls)
    return cls


def is_plain(cls: type) -> bool:
    """Whether all that instances hold can be seen: no class on the way to the builtin one has state of its own in C."""
    base = builtin_class(cls)
    visible = 0
    for k in ancestry(cls):
        if _is_builtin(k):
            continue
        held = namespace(k)
        visible += sum(is_a(v, MemberDescriptorType) or name == "__weakref__" for name, v in held.items())
        new = held.get("__new__")
        if new is not None and not is_a(new, FunctionType) and not is_a(new, staticmethod):
            return False
    return instance_size(cls) - instance_size(base) <= visible * _POINTER


def take_apart(exc: BaseException, cls: type) -> Parts:
    """What an instance of *cls*, or of a class that extends it, holds."""
    fields: list[Field] = []
    for depth, name, descriptor in _descriptors(cls):
        try:
            fields.append((depth, name, descriptor.__get__(exc)))
        except AttributeError:  # a slot that was never filled
            continue
    attributes = {name: value for name, value in ATTRIBUTES.__get__(exc).items() if name != DETAILS}
    return Parts(ARGS.__get__(exc), fields, attributes)


def fresh(target: type, cls: type, *, message: str = "", members: Sequence[BaseException] = ()) -> BaseException:
    """An instance of *target*, which is *cls* or extends it, that holds nothing yet but the members of a group."""
    new: Any = builtin_class(cls).__new__
    made: BaseException = new(target, message, members) if issubclass(cls, BaseExceptionGroup) else new(target)
    return made


def fill(exc: BaseException, cls: type, parts: Parts) -> None:
    """Give an instance what another one held."""
    ARGS.__set__(exc, parts.args)
    descriptors = {(depth, name): descriptor for depth, name, descriptor in _descriptors(cls)}
    for depth, name, value in parts.fields:
        descriptor = descriptors.get((depth, name))
        # A field that was never set reads as None, yet is not the same as one that was set to None: `str(OSError)`.
        if descriptor is not None and not _holds(descriptor, exc, value):
            _put(descriptor, exc, value)
    ATTRIBUTES.__get__(exc).update(parts.attributes)


def _descriptors(cls: type) -> list[tuple[int, str, Any]]:
    found: list[tuple[int, str, Any]] = []
    for depth, k in enumerate(ancestry(cls)):
        if k is BaseException:
            continue
        if k is OSError:
            found.append((depth, "characters_written", _WRITTEN))
        for name, value in namespace(k).items():
            if is_a(value, MemberDescriptorType) and value not in (GROUP_MESSAGE, GROUP_MEMBERS):
                found.append((depth, name, value))
    return found


def _holds(descriptor: Any, exc: BaseException, value: Any) -> bool:
    try:
        return descriptor.__get__(exc) is value
    except AttributeError:
        return False


def _put(descriptor: Any, exc: BaseException, value: Any) -> None:
    try:
        descriptor.__set__(exc, value)
    except (AttributeError, TypeError):  # read-only, or a stand-in where only a number can be
        return


def _is_builtin(cls: type) -> bool:
    return getattr(builtins, type_name(cls), None) is cls
