"""Questions about classes, answered by the interpreter and not by a metaclass or a `__class__` of the user's."""

from collections.abc import Mapping
from typing import Any, TypeGuard, TypeVar, cast

from volant.values.failing.text import encodable

_T = TypeVar("_T")

_NAME = type.__dict__["__name__"]
_QUALNAME = type.__dict__["__qualname__"]
_MODULE = type.__dict__["__module__"]
_MRO = type.__dict__["__mro__"]
_NAMESPACE = type.__dict__["__dict__"]
_BASE = type.__dict__["__base__"]
_SIZE = type.__dict__["__basicsize__"]


def is_a(obj: object, cls: type[_T]) -> TypeGuard[_T]:
    """Whether an object is an instance of one of our own or a builtin class; `isinstance` also asks the object."""
    return issubclass(type(obj), cls)


def is_group(cls: type) -> bool:
    """Whether a class is one of exception groups."""
    return issubclass(cls, BaseExceptionGroup)


def type_name(cls: type) -> str:
    """The name of a class."""
    return encodable(_NAME.__get__(cls))


def type_place(cls: type) -> tuple[str, str]:
    """Module and qualified name of a class."""
    try:
        module: object = _MODULE.__get__(cls)
    except AttributeError:
        module = ""
    return module if isinstance(module, str) else "", _QUALNAME.__get__(cls)


def ancestry(cls: type) -> tuple[type, ...]:
    """The method resolution order of a class. Compare its members by identity: their metaclass may define `==`."""
    return cast(tuple[type, ...], _MRO.__get__(cls))


def namespace(cls: type) -> Mapping[str, Any]:
    """What a class itself defines."""
    return cast(Mapping[str, Any], _NAMESPACE.__get__(cls))


def layout_base(cls: type) -> type:
    """The base from which a class takes the memory layout of its instances."""
    return cast(type, _BASE.__get__(cls))


def instance_size(cls: type) -> int:
    """Bytes of an instance, without what lies before or behind it."""
    return cast(int, _SIZE.__get__(cls))
