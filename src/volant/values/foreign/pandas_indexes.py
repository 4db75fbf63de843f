"""The indexes of pandas, by kind."""

# The library has no types of its own here: what comes of it is Any.
# pyright: reportUnknownLambdaType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false

from typing import Any, Final

import numpy
import pandas  # type: ignore[import-untyped]

from volant.values.composing import NotComposed

_np: Any = numpy
_pd: Any = pandas

_KINDS: Final = frozenset(
    (_pd.Index, _pd.CategoricalIndex, _pd.DatetimeIndex, _pd.TimedeltaIndex, _pd.PeriodIndex, _pd.IntervalIndex)
)


def index_parts(index: Any) -> tuple[Any, ...]:
    """An index as a plain value.

    Raises:
        NotComposed: it is of a kind that is not known here.
    """
    if type(index) is _pd.RangeIndex:
        return "range", index.start, index.stop, index.step, index.name
    if type(index) is _pd.MultiIndex:
        levels = tuple(map(index_parts, index.levels))
        return "levels", levels, tuple(_np.asarray(codes) for codes in index.codes), tuple(index.names)
    if type(index) not in _KINDS:
        raise NotComposed
    from volant.values.foreign.pandas_arrays import array_parts

    return "values", array_parts(index.array), _frequency(index), index.name


def make_index(parts: tuple[Any, ...]) -> Any:
    """The index of `index_parts`."""
    match parts:
        case ("range", start, stop, step, name):
            return _pd.RangeIndex(start, stop, step, name=name)
        case ("levels", levels, codes, names):
            made = list(map(make_index, levels))
            return _pd.MultiIndex(made, codes, names=names, verify_integrity=False)
        case ("values", content, frequency, name):
            from volant.values.foreign.pandas_arrays import make_array

            array = make_array(content)
            index = _pd.Index(array, dtype=array.dtype, name=name, copy=False)
            if frequency is not None:
                index.freq = frequency
            return index
        case _:
            raise NotComposed


def _frequency(index: Any) -> str | None:
    if not isinstance(index, (_pd.DatetimeIndex, _pd.TimedeltaIndex)):
        return None
    frequency: Any = index.freq
    if frequency is None:
        return None
    text: str = frequency.freqstr
    try:
        same = _pd.tseries.frequencies.to_offset(text) == frequency
    except ValueError:
        same = False
    if not same:
        raise NotComposed  # it has more to it than its name
    return text
