"""numpy's values beside arrays and numbers: text and records, dtypes, arrays of records and masked arrays."""

# The library has no types of its own here: what comes of it is Any.
# pyright: reportUnknownLambdaType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false

from typing import Any, Final

import numpy

from volant.values.composing import Composition, NotComposed
from volant.values.dtypes import Undescribed, describe_dtype, read_dtype

_np: Any = numpy


def _text(value: Any) -> tuple[Any, ...]:
    return None, str(value)


def _bytes(value: Any) -> tuple[Any, ...]:
    return None, bytes(value)


def _record(value: Any) -> tuple[Any, ...]:
    _described(value.dtype)
    return None, _np.asarray(value).view(_np.ndarray)


def _dtype(value: Any) -> tuple[Any, ...]:
    return None, _described(value)


def _records(value: Any) -> tuple[Any, ...]:
    _described(value.dtype)
    if value.dtype.type is not _np.record or vars(value):
        raise NotComposed
    return value.shape, value.view(_np.ndarray)


def _masked(value: Any) -> tuple[Any, ...]:
    _described(value.dtype)
    if value.dtype.names is not None or value.dtype.hasobject or value.dtype.char == "T":
        raise NotComposed
    data = _np.array(value.data)
    mask = _np.ma.getmaskarray(value)
    # What lies under the mask says nothing.
    data[mask] = _np.zeros((), data.dtype)
    fill = value._fill_value
    return (
        value.shape,
        data,
        None if value.mask is _np.ma.nomask else mask,
        None if fill is None else _np.asarray(fill),
        bool(value.hardmask),
    )


def _make_masked(parts: tuple[Any, ...]) -> Any:
    _, data, mask, fill, is_hard = parts
    made = _np.ma.MaskedArray(data, mask=_np.ma.nomask if mask is None else mask, hard_mask=is_hard)
    if fill is not None:
        made.set_fill_value(fill[()])
    return made


def _described(dtype: Any) -> Any:
    try:
        return describe_dtype(dtype)
    except Undescribed:
        raise NotComposed from None


_DTYPES: Final = {type(_np.dtype(char)) for char in "?bBhHiIlLqQefdFDSUVOMm"}

BY_CLASS: Final[dict[type, Composition]] = {
    _np.str_: Composition("numpy:str_", _text, lambda parts: _np.str_(parts[1])),
    _np.bytes_: Composition("numpy:bytes_", _bytes, lambda parts: _np.bytes_(parts[1])),
    _np.void: Composition("numpy:void", _record, lambda parts: parts[1][()]),
    _np.record: Composition("numpy:record", _record, lambda parts: parts[1][()]),
    _np.recarray: Composition("numpy:recarray", _records, lambda parts: parts[1].view(_np.recarray)),
    _np.ma.MaskedArray: Composition("numpy:MaskedArray", _masked, _make_masked),
    **dict.fromkeys(_DTYPES, Composition("numpy:dtype", _dtype, lambda parts: read_dtype(parts[1], _np))),
}
BY_NAME: Final = {each.name: each for each in BY_CLASS.values()}
