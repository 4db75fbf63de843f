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

import pydantic
from hypothesis import strategies as st

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
        case _ if dataclasses.is_dataclass(cls):
            return cls, tuple((field.name, identity(getattr(value, field.name))) for field in dataclasses.fields(cls))
        case _:
            return cls, repr(value)
