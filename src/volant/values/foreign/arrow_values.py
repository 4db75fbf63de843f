"""Arrow's arrays, tables and types, by their buffers.

What a buffer holds where there is no value is written as zeros, and bits and offsets start at 0: equal arrays have
equal bytes, whatever they were cut from. Chunks are joined.
"""

# The library has no types of its own here: what comes of it is Any.
# pyright: reportUnknownLambdaType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false

from typing import Any, Final

import numpy
import pyarrow  # type: ignore[import-untyped]

from volant.values.composing import Composition, NotComposed
from volant.values.foreign.arrow_types import field_parts, make_field, make_type, type_parts
from volant.values.foreign.nulls import packed, unpacked

_np: Any = numpy
_pa: Any = pyarrow
_VIEWS: Final[dict[Any, Any]] = {
    _pa.string_view(): _pa.large_string(),
    _pa.binary_view(): _pa.large_binary(),
}


def buffers_of(array: Any) -> tuple[Any, ...]:
    """An array without its type: its length, which items are there, and what they are."""
    kind = array.type
    size = len(array)
    present = packed(array.is_valid()) if array.null_count else None
    if kind in _VIEWS:
        return buffers_of(array.cast(_VIEWS[kind]))
    if _pa.types.is_null(kind):
        return size, None
    if _pa.types.is_boolean(kind):
        return size, present, packed(array.fill_null(False))
    if _pa.types.is_dictionary(kind):
        return size, None, buffers_of(array.indices), buffers_of(array.dictionary)
    if _pa.types.is_struct(kind):
        return size, present, *(buffers_of(child) for child in array.flatten())
    if _pa.types.is_map(kind):
        return buffers_of(array.cast(_plain_map(kind)))
    if _pa.types.is_list(kind) or _pa.types.is_large_list(kind):
        return size, present, _lengths(array), buffers_of(array.flatten())
    if _pa.types.is_fixed_size_list(kind):
        return size, present, buffers_of(array.flatten())
    if _has_offsets(kind):
        return size, present, _lengths(array), _bytes_of(array)
    return size, present, _fixed(array)


def make_array(kind: Any, parts: tuple[Any, ...]) -> Any:
    """The array of a type that `buffers_of` took apart."""
    if kind in _VIEWS:
        return make_array(_VIEWS[kind], parts).cast(kind)
    size, present, *rest = parts
    if _pa.types.is_null(kind):
        return _pa.nulls(size)
    if _pa.types.is_dictionary(kind):
        indices, dictionary = make_array(kind.index_type, rest[0]), make_array(kind.value_type, rest[1])
        return _pa.DictionaryArray.from_arrays(indices, dictionary, ordered=kind.ordered)
    mask = None if present is None else _pa.py_buffer(present)
    if _pa.types.is_struct(kind):
        children = [make_array(kind.field(at).type, part) for at, part in enumerate(rest)]
        return _pa.Array.from_buffers(kind, size, [mask], children=children)
    if _pa.types.is_map(kind):
        entries = make_array(_plain_map(kind).value_type, rest[1])
        return _pa.Array.from_buffers(kind, size, [mask, _offsets(rest[0], "<i4")], children=[entries])
    if _pa.types.is_list(kind) or _pa.types.is_large_list(kind):
        width = "<i4" if _pa.types.is_list(kind) else "<i8"
        child = make_array(kind.value_type, rest[1])
        return _pa.Array.from_buffers(kind, size, [mask, _offsets(rest[0], width)], children=[child])
    if _pa.types.is_fixed_size_list(kind):
        child = _spread(make_array(kind.value_type, rest[0]), present, size, kind.list_size)
        return _pa.Array.from_buffers(kind, size, [mask], children=[child])
    if _has_offsets(kind):
        width = "<i4" if kind in (_pa.string(), _pa.binary()) else "<i8"
        return _pa.Array.from_buffers(kind, size, [mask, _offsets(rest[0], width), _pa.py_buffer(rest[1])])
    return _pa.Array.from_buffers(kind, size, [mask, _pa.py_buffer(rest[0])])


def _has_offsets(kind: Any) -> bool:
    return kind in (_pa.string(), _pa.binary(), _pa.large_string(), _pa.large_binary())


def _plain_map(kind: Any) -> Any:
    return _pa.list_(_pa.struct([kind.key_field, kind.item_field]))


def _fixed(array: Any) -> Any:
    width = array.type.bit_width // 8
    data = array.buffers()[1]
    if data is None or not len(array):
        return _np.zeros(0, "u1")
    found = _np.frombuffer(data, "u1")[array.offset * width : (array.offset + len(array)) * width]
    if array.null_count:
        found = found.copy()
        found.reshape(len(array), width)[_absent(array)] = 0
    return found


def _raw_offsets(array: Any) -> Any:
    wide = _pa.types.is_large_list(array.type) or array.type in (_pa.large_string(), _pa.large_binary())
    data = array.buffers()[1]
    if data is None or not len(array):
        return _np.zeros(1, "<i8")
    return _np.frombuffer(data, "<i8" if wide else "<i4")[array.offset : array.offset + len(array) + 1]


def _lengths(array: Any) -> Any:
    lengths = _np.diff(_raw_offsets(array)).astype("<i8")
    if array.null_count:
        lengths[_absent(array)] = 0
    return lengths


def _bytes_of(array: Any) -> Any:
    offsets = _raw_offsets(array)
    data = array.buffers()[2]
    if data is None or offsets[-1] == offsets[0]:
        return _np.zeros(0, "u1")
    if array.null_count and _lengths(array).sum() != offsets[-1] - offsets[0]:
        # There is text where there is no value.
        return _bytes_of(array.drop_null())
    return _np.frombuffer(data, "u1")[offsets[0] : offsets[-1]]


def _absent(array: Any) -> Any:
    return array.is_null().to_numpy(zero_copy_only=False)


def _offsets(lengths: Any, width: str) -> Any:
    offsets = _np.zeros(len(lengths) + 1, width)
    _np.cumsum(lengths, out=offsets[1:])
    return _pa.py_buffer(offsets)


def _spread(child: Any, present: Any, size: int, list_size: int) -> Any:
    """The items of lists of one length, with room for those of absent lists."""
    if present is None:
        return child
    there = unpacked(present, size)
    places = _np.cumsum(there) - 1
    items = places[:, None] * list_size + _np.arange(list_size)[None, :]
    absent = _np.repeat(~there, list_size)
    return child.take(_pa.array(items.reshape(-1), mask=absent))


def _array(value: Any) -> tuple[Any, ...]:
    return (len(value),), type_parts(value.type), buffers_of(value)


def _chunked(value: Any) -> tuple[Any, ...]:
    return (len(value),), type_parts(value.type), buffers_of(joined(value))


def joined(chunked: Any) -> Any:
    """The chunks as one array."""
    found = chunked.combine_chunks()
    if not isinstance(found, _pa.ChunkedArray):
        return found
    raise NotComposed  # too much for one array


def _make_chunked(parts: tuple[Any, ...]) -> Any:
    kind = make_type(parts[1])
    return _pa.chunked_array([make_array(kind, parts[2])], type=kind)


def _table(value: Any) -> tuple[Any, ...]:
    schema = _schema(value.schema)
    columns = [joined(each) if isinstance(each, _pa.ChunkedArray) else each for each in value.columns]
    return value.shape, *schema[1:], tuple(map(buffers_of, columns))


def _columns(parts: tuple[Any, ...]) -> tuple[list[Any], Any]:
    schema = _make_schema(parts[:3])
    return [make_array(field.type, part) for field, part in zip(schema, parts[3], strict=True)], schema


def _make_table(parts: tuple[Any, ...]) -> Any:
    columns, schema = _columns(parts)
    if not columns and parts[0][0]:
        rows = _pa.table({"_": _pa.nulls(parts[0][0])}).select([])
        return rows if schema.metadata is None else rows.replace_schema_metadata(schema.metadata)
    return _pa.Table.from_arrays(columns, schema=schema)


def _make_batch(parts: tuple[Any, ...]) -> Any:
    columns, schema = _columns(parts)
    return _pa.RecordBatch.from_arrays(columns, schema=schema)


def _schema(value: Any) -> tuple[Any, ...]:
    return None, tuple(map(field_parts, value)), dict(value.metadata) if value.metadata is not None else None


def _make_schema(parts: tuple[Any, ...]) -> Any:
    return _pa.schema([make_field(part) for part in parts[1]], metadata=parts[2])


def _scalar(value: Any) -> tuple[Any, ...]:
    return None, type_parts(value.type), buffers_of(_pa.array([value], value.type))


def _make_scalar(parts: tuple[Any, ...]) -> Any:
    return make_array(make_type(parts[1]), parts[2])[0]


def _classes(base: Any) -> list[Any]:
    return [base, *(each for below in base.__subclasses__() for each in _classes(below))]


_ARRAY: Final = Composition("pyarrow:Array", _array, lambda parts: make_array(make_type(parts[1]), parts[2]))
_SCALAR: Final = Composition("pyarrow:Scalar", _scalar, _make_scalar)
_TYPE: Final = Composition(
    "pyarrow:DataType", lambda value: (None, type_parts(value)), lambda parts: make_type(parts[1])
)

BY_CLASS: Final[dict[type, Composition]] = {
    **dict.fromkeys(_classes(_pa.Array), _ARRAY),
    **dict.fromkeys(_classes(_pa.Scalar), _SCALAR),
    **dict.fromkeys((each for each in _classes(_pa.DataType) if each.__module__ == "pyarrow.lib"), _TYPE),
    _pa.ChunkedArray: Composition("pyarrow:ChunkedArray", _chunked, _make_chunked),
    _pa.Table: Composition("pyarrow:Table", _table, _make_table),
    _pa.RecordBatch: Composition("pyarrow:RecordBatch", _table, _make_batch),
    _pa.Schema: Composition("pyarrow:Schema", _schema, _make_schema),
    _pa.Field: Composition(
        "pyarrow:Field", lambda value: (None, field_parts(value)), lambda parts: make_field(parts[1])
    ),
}
BY_NAME: Final = {each.name: each for each in BY_CLASS.values()}
