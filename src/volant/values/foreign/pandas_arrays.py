"""What the columns of pandas hold, by kind of array."""

# The library has no types of its own here: what comes of it is Any.
# pyright: reportUnknownLambdaType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false

from collections.abc import Callable
from typing import Any, Final

import numpy
import pandas  # type: ignore[import-untyped]

from volant.values.composing import NotComposed
from volant.values.dtypes import Undescribed, describe_dtype
from volant.values.foreign.pandas_indexes import index_parts, make_index

_np: Any = numpy
_pd: Any = pandas


def dtype_of(array: Any) -> Any:
    """numpy's dtype of an array that numpy can hold as it is; None of others."""
    if isinstance(array.dtype, _np.dtype):
        return array.dtype
    return array.dtype.numpy_dtype if type(array).__name__ == "NumpyExtensionArray" else None


def array_parts(array: Any) -> tuple[Any, ...]:
    """An array as a plain value.

    Raises:
        NotComposed: it is of a kind that is not known here.
    """
    if dtype_of(array) is not None:
        return "numpy", _plain(array)
    take_apart = _TAKE_APART.get(type(array).__name__)
    if take_apart is None:
        raise NotComposed
    return take_apart(array)


def make_array(parts: tuple[Any, ...]) -> Any:
    """The array of `array_parts`."""
    return _PUT_TOGETHER[parts[0]](*parts[1:])


def _plain(array: Any) -> Any:
    found = _np.asarray(array)
    try:
        describe_dtype(found.dtype)
    except Undescribed:
        raise NotComposed from None
    return found


def _categorical(array: Any) -> tuple[Any, ...]:
    return "categorical", _np.asarray(array.codes), index_parts(array.categories), array.ordered


def _make_categorical(codes: Any, categories: Any, ordered: bool) -> Any:
    return _pd.Categorical.from_codes(
        codes, dtype=_pd.CategoricalDtype(make_index(categories), ordered), validate=False
    )


def _moments(array: Any) -> tuple[Any, ...]:
    return "moments", array.asi8.view(f"<M8[{array.unit}]"), array.tz


def _make_moments(data: Any, zone: Any) -> Any:
    return _pd.DatetimeIndex(data).tz_localize("UTC").tz_convert(zone).array


def _periods(array: Any) -> tuple[Any, ...]:
    return "periods", _np.asarray(array.asi8), array.freqstr


def _make_periods(ordinals: Any, frequency: str) -> Any:
    return _pd.arrays.PeriodArray(ordinals, dtype=_pd.PeriodDtype(frequency))


def _intervals(array: Any) -> tuple[Any, ...]:
    return "intervals", index_parts(array.left), index_parts(array.right), array.closed


def _make_intervals(left: Any, right: Any, closed: str) -> Any:
    return _pd.arrays.IntervalArray.from_arrays(make_index(left), make_index(right), closed)


def _masked(array: Any) -> tuple[Any, ...]:
    mask = _np.array(array._mask)
    data = _np.array(array._data)
    # What lies under the mask says nothing.
    data[mask] = 0
    return "masked", data, mask


def _make_masked(data: Any, mask: Any) -> Any:
    kinds = {"f": _pd.arrays.FloatingArray, "b": _pd.arrays.BooleanArray}
    return kinds.get(data.dtype.kind, _pd.arrays.IntegerArray)(data, mask)


def _texts(array: Any) -> tuple[Any, ...]:
    dtype = array.dtype
    absent = _np.asarray(array.isna())
    # With no other object in it, an array of texts has a short form.
    texts = array.to_numpy(dtype=object, na_value="")
    return "texts", dtype.storage, dtype.na_value is _pd.NA, texts, absent if absent.any() else None


def _make_texts(storage: str, is_na: bool, texts: Any, absent: Any) -> Any:
    dtype = _pd.StringDtype(storage, na_value=_pd.NA if is_na else _np.nan)
    if absent is not None:
        texts[absent] = dtype.na_value
    return _pd.array(texts, dtype=dtype)


def _sparse(array: Any) -> tuple[Any, ...]:
    places = array.sp_index.to_int_index().indices
    fill = _np.asarray(array.fill_value, array.dtype.subtype)[()]
    return "sparse", array.kind, len(array), _plain(array.sp_values), _np.asarray(places), fill


def _make_sparse(kind: str, length: int, values: Any, places: Any, fill: Any) -> Any:
    dtype = _pd.SparseDtype(values.dtype, fill)
    if hasattr(_pd.arrays.SparseArray, "from_indices"):
        return _pd.arrays.SparseArray.from_indices(values, places, length, fill, kind, values.dtype)
    index = type(_pd.arrays.SparseArray(_np.zeros(0)).sp_index)(length, places.astype("i4"))
    index = index if kind == "integer" else index.to_block_index()
    return _pd.arrays.SparseArray(values, sparse_index=index, dtype=dtype)


def _arrow(array: Any) -> tuple[Any, ...]:
    return "arrow", array.__arrow_array__()


def _make_arrow(data: Any) -> Any:
    return _pd.arrays.ArrowExtensionArray(data)


_TAKE_APART: Final[dict[str, Callable[[Any], tuple[Any, ...]]]] = {
    "Categorical": _categorical,
    "DatetimeArray": _moments,
    "PeriodArray": _periods,
    "IntervalArray": _intervals,
    "IntegerArray": _masked,
    "FloatingArray": _masked,
    "BooleanArray": _masked,
    "StringArray": _texts,
    "StringArrayNumpySemantics": _texts,
    "ArrowStringArray": _texts,
    "ArrowStringArrayNumpySemantics": _texts,
    "SparseArray": _sparse,
    "ArrowExtensionArray": _arrow,
}
_PUT_TOGETHER: Final[dict[str, Callable[..., Any]]] = {
    "numpy": lambda data: data,
    "stack": lambda data: data,
    "categorical": _make_categorical,
    "moments": _make_moments,
    "periods": _make_periods,
    "intervals": _make_intervals,
    "masked": _make_masked,
    "texts": _make_texts,
    "sparse": _make_sparse,
    "arrow": _make_arrow,
}
