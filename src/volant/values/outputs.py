"""The outputs of a task: what a return annotation, or without one a value, falls into, and by which names."""

import typing
from typing import Any, get_args, get_origin

from volant.values.annotations import unwrap
from volant.values.signatures import EMPTY
from volant.values.structures import field_names, is_named_tuple
from volant.values.wire import class_of


def names_of_outputs(returns: Any) -> tuple[str, ...]:
    """The names that an annotation gives: those of a NamedTuple, `o0`, `o1`, ... of a tuple, `o0` of all else."""
    plain = unwrap(returns) if returns is not EMPTY else Any
    origin: Any = get_origin(plain) or plain
    if plain is None or plain is type(None):
        return ()
    if isinstance(origin, type) and is_named_tuple(origin):
        return field_names(origin)
    arguments = get_args(plain)
    if origin is tuple and ... not in arguments and plain not in (tuple, typing.Tuple):  # noqa: UP006
        return _numbered(len(arguments))
    return ("o0",)


def outputs_in(value: Any, returns: Any) -> dict[str, Any]:
    """The outputs in a returned value, by name; without a return annotation the value decides."""
    if returns is EMPTY:
        names = _names_in(value)
        parts = tuple(value) if issubclass(class_of(value), tuple) else (value,)
    else:
        names = names_of_outputs(returns)
        parts = tuple(value) if _splits(returns) else (value,)
    return dict(zip(names, parts, strict=False))


def _splits(returns: Any) -> bool:
    """Whether the parts of a returned tuple are the outputs."""
    plain = unwrap(returns)
    origin: Any = get_origin(plain) or plain
    arguments = get_args(plain)
    if not isinstance(origin, type):
        return False
    return is_named_tuple(origin) or (origin is tuple and bool(arguments) and ... not in arguments)


def _numbered(count: int) -> tuple[str, ...]:
    return tuple(f"o{index}" for index in range(count))


def _names_in(value: Any) -> tuple[str, ...]:
    cls = class_of(value)
    if value is None:
        return ()
    if not issubclass(cls, tuple):
        return ("o0",)
    return field_names(cls) if is_named_tuple(cls) else _numbered(len(value))
