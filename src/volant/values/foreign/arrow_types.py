"""Arrow's types as plain values."""

# The library has no types of its own here: what comes of it is Any.
# pyright: reportUnknownLambdaType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false

from collections.abc import Callable
from typing import Any, Final

import pyarrow  # type: ignore[import-untyped]

from volant.values.composing import NotComposed
from volant.values.wire import Misread

_pa: Any = pyarrow

_PLAIN: Final[dict[str, Any]] = {
    str(kind): kind
    for kind in (
        _pa.null(),
        _pa.bool_(),
        _pa.int8(),
        _pa.int16(),
        _pa.int32(),
        _pa.int64(),
        _pa.uint8(),
        _pa.uint16(),
        _pa.uint32(),
        _pa.uint64(),
        _pa.float16(),
        _pa.float32(),
        _pa.float64(),
        _pa.string(),
        _pa.binary(),
        _pa.large_string(),
        _pa.large_binary(),
        _pa.string_view(),
        _pa.binary_view(),
        _pa.date32(),
        _pa.date64(),
        _pa.month_day_nano_interval(),
    )
}
_DECIMALS: Final = {name: getattr(_pa, name) for name in ("decimal32", "decimal64", "decimal128", "decimal256")}


def type_parts(kind: Any) -> Any:
    """A type as a plain value.

    Raises:
        NotComposed: one that has no description yet, such as a union.
    """
    types = _pa.types
    name = str(kind)
    if name in _PLAIN:
        return name
    if types.is_timestamp(kind):
        return "timestamp", kind.unit, kind.tz
    if types.is_time(kind) or types.is_duration(kind):
        return "time" if types.is_time(kind) else "duration", kind.bit_width, kind.unit
    if types.is_decimal(kind):
        return "decimal", name.partition("(")[0], kind.precision, kind.scale
    if types.is_fixed_size_binary(kind) and not _is_extension(kind):
        return "fixed_size_binary", kind.byte_width
    if types.is_map(kind):
        return "map", field_parts(kind.key_field), field_parts(kind.item_field), kind.keys_sorted
    if types.is_list(kind):
        return "list", field_parts(kind.value_field)
    if types.is_large_list(kind):
        return "large_list", field_parts(kind.value_field)
    if types.is_fixed_size_list(kind):
        return "fixed_size_list", field_parts(kind.value_field), kind.list_size
    if types.is_struct(kind):
        return "struct", tuple(field_parts(kind.field(at)) for at in range(kind.num_fields))
    if types.is_dictionary(kind):
        return "dictionary", type_parts(kind.index_type), type_parts(kind.value_type), kind.ordered
    raise NotComposed


def make_type(parts: Any) -> Any:
    """The type of `type_parts`."""
    if isinstance(parts, str):
        return _PLAIN[parts]
    name, *rest = parts
    make = _MAKERS.get(name)
    if make is None:
        raise Misread(f"found the Arrow type {name!r}, which this version of Volant does not know")
    return make(*rest)


def field_parts(field: Any) -> tuple[Any, ...]:
    """A field as a plain value."""
    metadata = dict(field.metadata) if field.metadata is not None else None
    return field.name, type_parts(field.type), field.nullable, metadata


def make_field(parts: tuple[Any, ...]) -> Any:
    """The field of `field_parts`."""
    name, kind, nullable, metadata = parts
    return _pa.field(name, make_type(kind), nullable, metadata)


def _is_extension(kind: Any) -> bool:
    return isinstance(kind, _pa.BaseExtensionType)


def _time(width: int, unit: str) -> Any:
    return _pa.time32(unit) if width == 32 else _pa.time64(unit)


_MAKERS: Final[dict[str, Callable[..., Any]]] = {
    "timestamp": _pa.timestamp,
    "time": _time,
    "duration": lambda _width, unit: _pa.duration(unit),
    "decimal": lambda name, precision, scale: _DECIMALS[name](precision, scale),
    "fixed_size_binary": _pa.binary,
    "map": lambda key, item, is_sorted: _pa.map_(make_field(key), make_field(item), is_sorted),
    "list": lambda field: _pa.list_(make_field(field)),
    "large_list": lambda field: _pa.large_list(make_field(field)),
    "fixed_size_list": lambda field, size: _pa.list_(make_field(field), size),
    "struct": lambda fields: _pa.struct([make_field(field) for field in fields]),
    "dictionary": lambda index, value, is_ordered: _pa.dictionary(make_type(index), make_type(value), is_ordered),
}
