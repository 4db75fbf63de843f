"""pandas' frames, series, indexes and moments.

A frame is its index, its columns' names, and its columns: those of one dtype lie behind one another, so that a frame of
a thousand columns is not a thousand blobs. Dtypes, categories, names, frequencies, `attrs` and flags come back as they
were; how the columns are grouped into blocks does not.
"""

# The library has no types of its own here: what comes of it is Any.
# pyright: reportUnknownLambdaType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false

from typing import Any, Final

import numpy
import pandas  # type: ignore[import-untyped]

from volant.values.arrays import Stack
from volant.values.composing import Composition, NotComposed
from volant.values.dtypes import Undescribed, describe_dtype
from volant.values.foreign.pandas_arrays import array_parts, dtype_of, make_array
from volant.values.foreign.pandas_indexes import index_parts, make_index

_np: Any = numpy
_pd: Any = pandas


def _frame(value: Any) -> tuple[Any, ...]:
    alike: dict[Any, list[int]] = {}
    others: list[tuple[Any, ...]] = []
    columns = [value.iloc[:, at].array for at in range(value.shape[1])]
    for at, column in enumerate(columns):
        dtype = dtype_of(column)
        if dtype is None or dtype.hasobject:
            others.append(((at,), array_parts(column)))
        else:
            alike.setdefault(dtype, []).append(at)
    stacks = [(tuple(places), _stack(columns, places)) for places in alike.values()]
    return (
        value.shape,
        index_parts(value.index),
        index_parts(value.columns),
        tuple(sorted(stacks + others, key=lambda each: each[0])),
        dict(value.attrs),
        value.flags.allows_duplicate_labels,
    )


def _stack(columns: list[Any], places: list[int]) -> tuple[Any, ...]:
    arrays = [_np.asarray(columns[at]) for at in places]
    try:
        describe_dtype(arrays[0].dtype)
    except Undescribed:
        raise NotComposed from None
    return "stack", Stack(arrays)


def _make_frame(parts: tuple[Any, ...]) -> Any:
    shape, index, names, columns, attrs, allows_duplicates = parts
    arrays: list[Any] = [None] * shape[1]
    for places, content in columns:
        if content[0] == "stack":
            for at, row in zip(places, content[1], strict=True):
                arrays[at] = row
        else:
            arrays[places[0]] = make_array(content)
    labels = make_index(index)
    series = {at: _series_of(array, labels) for at, array in enumerate(arrays)}
    made = _pd.DataFrame(series, index=labels, copy=False)
    made.columns = make_index(names)
    return _with_extras(made, attrs, allows_duplicates)


def _series(value: Any) -> tuple[Any, ...]:
    return (
        value.shape,
        index_parts(value.index),
        value.name,
        array_parts(value.array),
        dict(value.attrs),
        value.flags.allows_duplicate_labels,
    )


def _make_series(parts: tuple[Any, ...]) -> Any:
    _, index, name, content, attrs, allows_duplicates = parts
    made = _series_of(make_array(content), make_index(index), name)
    return _with_extras(made, attrs, allows_duplicates)


def _series_of(array: Any, index: Any, name: Any = None) -> Any:
    return _pd.Series(array, index=index, name=name, dtype=array.dtype, copy=False)


def _with_extras(made: Any, attrs: dict[Any, Any], allows_duplicates: bool) -> Any:
    made.attrs = attrs
    if not allows_duplicates:
        made.flags.allows_duplicate_labels = False
    return made


def _index(value: Any) -> tuple[Any, ...]:
    return value.shape, index_parts(value)


def _array(value: Any) -> tuple[Any, ...]:
    return value.shape, array_parts(value)


def _timestamp(value: Any) -> tuple[Any, ...]:
    return None, value.asm8, value.tz


def _make_timestamp(parts: tuple[Any, ...]) -> Any:
    _, moment, zone = parts
    return _pd.Timestamp(moment) if zone is None else _pd.Timestamp(moment, tz="UTC").tz_convert(zone)


def _interval(value: Any) -> tuple[Any, ...]:
    return None, value.left, value.right, value.closed


def _categories(value: Any) -> tuple[Any, ...]:
    return None, None if value.categories is None else index_parts(value.categories), value.ordered


def _make_categories(parts: tuple[Any, ...]) -> Any:
    return _pd.CategoricalDtype(None if parts[1] is None else make_index(parts[1]), parts[2])


_INDEXES: Final = (
    _pd.Index,
    _pd.RangeIndex,
    _pd.MultiIndex,
    _pd.CategoricalIndex,
    _pd.DatetimeIndex,
    _pd.TimedeltaIndex,
    _pd.PeriodIndex,
    _pd.IntervalIndex,
)
_ARRAYS: Final = (
    _pd.Categorical,
    _pd.arrays.DatetimeArray,
    _pd.arrays.TimedeltaArray,
    _pd.arrays.PeriodArray,
    _pd.arrays.IntervalArray,
    _pd.arrays.IntegerArray,
    _pd.arrays.FloatingArray,
    _pd.arrays.BooleanArray,
    _pd.arrays.StringArray,
    _pd.arrays.SparseArray,
)

BY_CLASS: Final[dict[type, Composition]] = {
    _pd.DataFrame: Composition("pandas:DataFrame", _frame, _make_frame),
    _pd.Series: Composition("pandas:Series", _series, _make_series),
    **dict.fromkeys(_INDEXES, Composition("pandas:Index", _index, lambda parts: make_index(parts[1]))),
    **dict.fromkeys(_ARRAYS, Composition("pandas:array", _array, lambda parts: make_array(parts[1]))),
    _pd.Timestamp: Composition("pandas:Timestamp", _timestamp, _make_timestamp),
    _pd.Timedelta: Composition(
        "pandas:Timedelta", lambda value: (None, value.asm8), lambda parts: _pd.Timedelta(parts[1])
    ),
    _pd.Period: Composition(
        "pandas:Period",
        lambda value: (None, value.ordinal, value.freqstr),
        lambda parts: _pd.Period(ordinal=parts[1], freq=parts[2]),
    ),
    _pd.Interval: Composition(
        "pandas:Interval", _interval, lambda parts: _pd.Interval(parts[1], parts[2], closed=parts[3])
    ),
    _pd.CategoricalDtype: Composition("pandas:CategoricalDtype", _categories, _make_categories),
    type(_pd.NaT): Composition("pandas:NaT", lambda _: (None,), lambda _: _pd.NaT),
    type(_pd.NA): Composition("pandas:NA", lambda _: (None,), lambda _: _pd.NA),
}
BY_NAME: Final = {each.name: each for each in BY_CLASS.values()}
