"""Hypothesis strategies that make a type and values of it together, and what it means to be the same value."""

import collections
import dataclasses
import struct
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import Annotated, Any, Literal, NamedTuple, NewType, Optional, Union
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy
import pandas
import polars
import pyarrow
import pydantic
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_strategies

from tests.values import sample_types as samples

UserId = NewType("UserId", int)
Strategy = st.SearchStrategy[Any]


class Typed(NamedTuple):
    """An annotation and the values it has."""

    annotation: Any
    values: Strategy
    hashable: bool = True


def surrogates() -> Strategy:
    return st.text(st.characters(), max_size=8)


def floats() -> Strategy:
    patterns = st.integers(0, 2**64 - 1).map(lambda bits: struct.unpack(">d", bits.to_bytes(8, "big"))[0])
    return st.floats() | patterns


def zones() -> Strategy:
    offsets = st.timedeltas(timedelta(hours=-23, minutes=-59), timedelta(hours=23, minutes=59))
    named = st.builds(timezone, offsets, st.text(max_size=3))
    keys = st.sampled_from(["UTC", "Europe/Paris", "America/New_York"]).map(ZoneInfo)
    return st.just(UTC) | st.builds(timezone, offsets) | named | keys


def datetimes() -> Strategy:
    return st.builds(
        lambda moment, zone, fold: moment.replace(tzinfo=zone, fold=fold),
        st.datetimes(),
        st.none() | zones(),
        st.integers(0, 1),
    )


def times() -> Strategy:
    fixed = st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(timezone)
    return st.builds(
        lambda moment, zone, fold: moment.replace(tzinfo=zone, fold=fold),
        st.times(),
        st.none() | fixed,
        st.integers(0, 1),
    )


def paths(cls: type[PurePath]) -> Strategy:
    return st.lists(
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=5), max_size=4
    ).map(lambda parts: cls(*parts))


integers = st.integers() | st.integers(-(2**200), 2**200) | st.sampled_from([127, 128, -1, -128, 2**63, 2**64])

LEAVES: list[Typed] = [
    Typed(None, st.none()),
    Typed(bool, st.booleans()),
    Typed(int, integers),
    Typed(float, floats()),
    Typed(complex, st.builds(complex, floats(), floats())),
    Typed(str, surrogates()),
    Typed(bytes, st.binary(max_size=300)),
    Typed(bytearray, st.binary(max_size=8).map(bytearray), hashable=False),
    Typed(
        Decimal,
        st.decimals() | st.sampled_from([Decimal("1.0"), Decimal("1.00"), Decimal("-0"), Decimal("sNaN12")]),
        hashable=False,
    ),
    Typed(Fraction, st.fractions()),
    Typed(UUID, st.uuids()),
    Typed(Path, paths(Path)),
    Typed(PurePath, paths(PurePosixPath) | paths(PureWindowsPath) | paths(Path)),
    Typed(PureWindowsPath, paths(PureWindowsPath)),
    Typed(date, st.dates()),
    Typed(time, times()),
    Typed(datetime, datetimes()),
    Typed(timedelta, st.timedeltas()),
    Typed(timezone, st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(timezone)),
    Typed(ZoneInfo, st.sampled_from(["UTC", "Asia/Tokyo"]).map(ZoneInfo)),
    Typed(range, st.builds(range, st.integers(-300, 300), st.integers(), st.integers(1, 300))),
    Typed(slice, st.builds(slice, st.none() | st.integers(), st.none() | st.text()), hashable=False),
    Typed(samples.Color, st.sampled_from(samples.Color)),
    Typed(samples.Shade, st.sampled_from(samples.Shade)),
    Typed(samples.Level, st.sampled_from(samples.Level)),
    Typed(samples.Mode, st.sampled_from(samples.Mode)),
    Typed(samples.Right, st.integers(0, 7).map(samples.Right)),
    Typed(samples.Bits, st.integers(0, 40).map(samples.Bits)),
    Typed(Literal[1, "1", True, None, samples.Color.RED], st.sampled_from([1, "1", True, None, samples.Color.RED])),  # type: ignore[arg-type]
    Typed(UserId, integers),
    Typed(Annotated[int, "unit"], integers),
    Typed(samples.Point, st.builds(samples.Point, integers, integers), hashable=False),
    Typed(samples.Place, st.builds(samples.Place, integers, integers), hashable=False),
    Typed(
        samples.Point,
        st.builds(samples.Point, integers, integers) | st.builds(samples.Point3, integers, integers, integers),
        hashable=False,
    ),
    Typed(
        samples.Order,
        st.builds(samples.Order, price=floats(), items=st.lists(surrogates()), placed=st.none() | datetimes()),
        hashable=False,
    ),
    Typed(samples.Derived, st.builds(samples.Derived, integers, st.integers()), hashable=False),
    Typed(samples.Coordinate, st.builds(samples.Coordinate, integers, floats())),
    Typed(samples.Row, st.builds(samples.Row, integers, surrogates())),
    Typed(samples.Movie, st.fixed_dictionaries({"title": surrogates()}, optional={"year": integers}), hashable=False),
    Typed(
        samples.Song,
        st.fixed_dictionaries({"title": surrogates()}, optional={"tags": st.lists(surrogates())}),
        hashable=False,
    ),
    Typed(samples.User, st.builds(samples.User, id=st.integers(), tags=st.lists(st.text(max_size=3))), hashable=False),
    Typed(
        samples.User,
        st.builds(samples.User, id=st.integers())
        | st.builds(samples.Admin, id=st.integers(), rights=st.sampled_from(samples.Right)),
        hashable=False,
    ),
    Typed(samples.Crate[int], st.builds(samples.Crate[int], content=st.integers()), hashable=False),
    Typed(
        samples.Loose,
        st.builds(samples.Loose, id=st.integers())
        | st.builds(samples.Loose, id=st.integers(), more=st.text(max_size=3)),
        hashable=False,
    ),
    Typed(
        type,
        st.sampled_from([int, samples.Point, samples.Color, samples.Crate[int], samples.Crate[samples.Crate[int]]]),
    ),
    Typed(collections.Counter, st.text(max_size=4).map(collections.Counter), hashable=False),
]


_DTYPES = ["?", "<i1", "<i8", ">i4", "<u2", "<f4", "<f8", "<c16", "<M8[us]", "<m8[D]", "<U3", "S2"]
_RECORDS = numpy.dtype([("a", "i1"), ("b", "f8"), ("c", [("x", "u2"), ("y", "U1")])], align=True)


def arrays() -> Strategy:
    """Of many dtypes, shapes and layouts."""
    kinds = st.sampled_from([numpy.dtype(kind) for kind in _DTYPES])
    shapes = numpy_strategies.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)
    plain = kinds.flatmap(lambda kind: numpy_strategies.arrays(kind, shapes))
    records = numpy_strategies.arrays(_RECORDS, shapes)
    objects = st.lists(st.none() | integers | surrogates() | floats(), max_size=4).map(_objects)
    return st.one_of(plain, plain.map(numpy.asfortranarray), plain.map(lambda array: array.T), records, objects)


def _objects(items: list[Any]) -> Any:
    array = numpy.empty(len(items), object)
    array[:] = items
    return array


_COLUMNS: dict[Any, Strategy] = {
    "int64": st.integers(-(2**63), 2**63 - 1),
    "float32": st.floats(width=32),
    "bool": st.booleans(),
    "object": st.none() | st.integers() | st.text(max_size=2),
    "str": st.none() | st.text(st.characters(codec="utf-8"), max_size=3),
    "Int8": st.none() | st.integers(-128, 127),
    "boolean": st.none() | st.booleans(),
    "category": st.sampled_from(["x", "y", None]),
    "datetime64[us]": st.none() | st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)),
    "datetime64[ms, Europe/Paris]": st.none() | st.datetimes(datetime(2000, 1, 1), datetime(2001, 1, 1)),
    "period[D]": st.none() | st.dates(date(1990, 1, 1), date(2030, 1, 1)).map(lambda day: pandas.Period(day, "D")),
}


def series() -> Strategy:
    return st.sampled_from(list(_COLUMNS)).flatmap(_series_of)


def _series_of(kind: Any) -> Strategy:
    def make(items: list[Any], name: Any) -> Any:
        if "Paris" in kind:
            naive = pandas.Series(items, dtype="datetime64[ms]", name=name)
            return naive.dt.tz_localize("Europe/Paris", ambiguous="NaT", nonexistent="NaT")
        return pandas.Series(items, dtype=kind, name=name)

    return st.builds(make, st.lists(_COLUMNS[kind], max_size=4), st.none() | st.text(max_size=2))


def frames() -> Strategy:
    return st.lists(st.sampled_from(list(_COLUMNS)), max_size=4).flatmap(_frame_of)


@st.composite
def _frame_of(draw: st.DrawFn, kinds: list[Any]) -> Any:
    size = draw(st.integers(0, 3))
    columns = {at: draw(_series_of(kind)).reindex(range(size)) for at, kind in enumerate(kinds)}
    frame = pandas.DataFrame(columns, index=range(size))
    frame.columns = pandas.Index(draw(st.lists(st.text(max_size=2), min_size=len(kinds), max_size=len(kinds))))
    index = st.none() | st.lists(st.integers(-9, 9), min_size=size, max_size=size)
    labels = draw(index)
    return frame if labels is None else frame.set_axis(pandas.Index(labels, name="row"))


_ARROW: list[tuple[Any, Strategy]] = [
    (pyarrow.int16(), st.none() | st.integers(-(2**15), 2**15 - 1)),
    (pyarrow.bool_(), st.none() | st.booleans()),
    (pyarrow.string(), st.none() | st.text(st.characters(codec="utf-8"), max_size=3)),
    (pyarrow.large_binary(), st.none() | st.binary(max_size=3)),
    (pyarrow.list_(pyarrow.int8()), st.none() | st.lists(st.none() | st.integers(0, 9), max_size=3)),
    (pyarrow.list_(pyarrow.int8(), 2), st.none() | st.lists(st.integers(0, 9), min_size=2, max_size=2)),
    (
        pyarrow.struct([("a", pyarrow.int8()), ("b", pyarrow.string())]),
        st.none() | st.fixed_dictionaries({"a": st.none() | st.integers(0, 9), "b": st.sampled_from(["", "x"])}),
    ),
    (pyarrow.dictionary(pyarrow.int8(), pyarrow.string()), st.sampled_from(["a", "b", None])),
    (pyarrow.map_(pyarrow.string(), pyarrow.int8()), st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 9)))),
]


def arrow_arrays() -> Strategy:
    """Whole ones and slices of longer ones."""

    def of(kind_and_items: tuple[Any, Strategy]) -> Strategy:
        kind, items = kind_and_items
        whole = st.lists(items, max_size=6).map(lambda found: pyarrow.array(found, kind))
        return st.builds(lambda array, skip: array.slice(skip), whole, st.integers(0, 3))

    return st.sampled_from(_ARROW).flatmap(of)


def polars_series() -> Strategy:
    kinds = {
        polars.Int32(): st.none() | st.integers(0, 99),
        polars.String(): st.none() | st.text(st.characters(codec="utf-8"), max_size=3),
        polars.Categorical(): st.sampled_from(["a", "b", None]),
        polars.Enum(["b", "a"]): st.sampled_from(["a", "b", None]),
        polars.List(polars.Int8()): st.none() | st.lists(st.integers(0, 9), max_size=2),
        polars.Datetime("ms", "UTC"): st.none() | st.datetimes(datetime(2000, 1, 1), datetime(2030, 1, 1)),
    }
    return st.sampled_from(list(kinds)).flatmap(
        lambda kind: st.builds(
            lambda name, items: polars.Series(name, items, dtype=kind), st.sampled_from("ab"), st.lists(kinds[kind])
        )
    )


LEAVES += [
    Typed(numpy.ndarray, arrays(), hashable=False),
    Typed(pandas.Series, series(), hashable=False),
    Typed(pandas.DataFrame, frames(), hashable=False),
    Typed(pyarrow.Array, arrow_arrays(), hashable=False),
    Typed(pyarrow.Table, arrow_arrays().map(lambda array: pyarrow.table({"c": array})), hashable=False),
    Typed(polars.Series, polars_series(), hashable=False),
    Typed(polars.DataFrame, polars_series().map(lambda found: found.to_frame()), hashable=False),
]


def _nodes() -> Typed:
    nodes = st.recursive(
        st.builds(samples.Node, integers),
        lambda inner: st.builds(samples.Node, integers, st.lists(inner, max_size=3), st.none() | inner),
        max_leaves=6,
    )
    return Typed(samples.Node, nodes, hashable=False)


def _larger(inner: st.SearchStrategy[Typed]) -> st.SearchStrategy[Typed]:
    """Types made of other types."""
    keys = st.sampled_from([leaf for leaf in LEAVES if leaf.hashable])
    pair = st.tuples(inner, inner)
    return st.one_of(
        inner.map(lambda a: Typed(list[a.annotation], st.lists(a.values, max_size=4), hashable=False)),
        inner.map(
            lambda a: Typed(
                Sequence[a.annotation],
                st.lists(a.values, max_size=3) | st.lists(a.values, max_size=3).map(tuple),
                hashable=False,
            )
        ),
        inner.map(
            lambda a: Typed(tuple[a.annotation, ...], st.lists(a.values, max_size=4).map(tuple), hashable=a.hashable)
        ),
        pair.map(
            lambda ab: Typed(
                tuple[ab[0].annotation, ab[1].annotation],
                st.tuples(ab[0].values, ab[1].values),
                ab[0].hashable and ab[1].hashable,
            )
        ),
        st.tuples(keys, inner).map(
            lambda kv: Typed(
                dict[kv[0].annotation, kv[1].annotation],
                st.dictionaries(kv[0].values, kv[1].values, max_size=4),
                hashable=False,
            )
        ),
        st.tuples(keys, inner).map(
            lambda kv: Typed(
                Mapping[kv[0].annotation, kv[1].annotation],
                st.dictionaries(kv[0].values, kv[1].values, max_size=3).map(collections.OrderedDict),
                hashable=False,
            )
        ),
        keys.map(lambda k: Typed(set[k.annotation], st.sets(k.values, max_size=4), hashable=False)),
        keys.map(lambda k: Typed(frozenset[k.annotation], st.frozensets(k.values, max_size=4))),
        inner.map(
            lambda a: Typed(
                collections.deque[a.annotation],
                st.lists(a.values, max_size=3).map(lambda items: collections.deque(items, 5)),
                hashable=False,
            )
        ),
        inner.map(
            lambda a: Typed(Optional[a.annotation], st.none() | a.values, a.hashable)  # noqa: UP045 - not every annotation has an `|`
        ),
        pair.map(
            lambda ab: Typed(
                Union[ab[0].annotation, ab[1].annotation],  # noqa: UP007 - not every annotation has an `|`
                ab[0].values | ab[1].values,
                ab[0].hashable and ab[1].hashable,
            )
        ),
        inner.map(lambda a: Typed(samples.Box[a.annotation], a.values.map(samples.Box), hashable=False)),
        inner.map(
            lambda a: Typed(
                samples.Labelled[a.annotation], st.builds(samples.Labelled, surrogates(), a.values), a.hashable
            )
        ),
        inner.map(
            lambda a: Typed(
                samples.Page[a.annotation],
                st.lists(a.values, max_size=3).map(lambda items: {"items": items}),
                hashable=False,
            )
        ),
        inner.map(lambda a: Typed(Any, a.values, a.hashable)),
    )


def typed_values() -> st.SearchStrategy[Typed]:
    """A type of any depth, with a strategy for its values."""
    return st.recursive(st.sampled_from([*LEAVES, _nodes()]), _larger, max_leaves=4)


def _items(value: Any) -> Any:
    return tuple(map(identity, value.to_pylist() if hasattr(value, "to_pylist") else value.tolist()))


def identity(value: Any) -> Any:
    """Something comparable that two values share when they are the same in value and in every type."""
    cls: Any = type(value)
    match value:
        case Enum():
            return cls, value.name, repr(value.value)
        case float():
            return cls, struct.pack(">d", value)
        case complex():
            return cls, struct.pack(">dd", value.real, value.imag)
        case collections.deque():
            return cls, value.maxlen, tuple(map(identity, value))
        case dict():
            return cls, tuple((identity(key), identity(item)) for key, item in value.items())
        case list() | tuple():
            return cls, tuple(map(identity, value))
        case set() | frozenset():
            return cls, tuple(sorted(map(identity, value), key=repr))
        case datetime():
            return cls, value.replace(tzinfo=None, fold=0), value.fold, identity(value.tzinfo)
        case time():
            return cls, value.replace(tzinfo=None, fold=0), value.fold, identity(value.tzinfo)
        case Decimal():
            return cls, value.as_tuple()
        case pydantic.BaseModel():
            state: Iterable[Any] = (
                vars(value),
                value.model_fields_set,
                value.__pydantic_extra__,
                value.__pydantic_private__,
            )
            return cls, tuple(map(identity, state))
        case type():
            return cls, value
        case samples.Kelvin():
            return cls, value.degrees, value.noise
        case numpy.ndarray():
            is_fortran = value.flags.f_contiguous and not value.flags.c_contiguous
            return cls, repr(value.dtype), value.shape, is_fortran, tuple(map(identity, value.ravel("K").tolist()))
        case pandas.DataFrame():
            columns = tuple(identity(value.iloc[:, at]) for at in range(value.shape[1]))
            return cls, value.shape, identity(value.index), identity(value.columns), columns, identity(value.attrs)
        case pandas.Series():
            return cls, repr(value.dtype), identity(value.name), identity(value.index), _items(value)
        case pandas.Index():
            return cls, repr(value.dtype), identity(value.name), _items(value)
        case pyarrow.Array() | pyarrow.ChunkedArray():
            return cls, str(value.type), _items(value)
        case pyarrow.Table():
            return cls, value.schema.to_string(), tuple(map(identity, value.columns))
        case polars.Series():
            return cls, repr(value.dtype), value.name, tuple(map(repr, value.to_list()))
        case polars.DataFrame():
            return cls, tuple(map(identity, value.get_columns()))
        case _ if dataclasses.is_dataclass(cls):
            return cls, tuple((field.name, identity(getattr(value, field.name))) for field in dataclasses.fields(cls))
        case _:
            return cls, repr(value)
