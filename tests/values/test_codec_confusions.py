"""Values that look alike: each pair has its own bytes, and each comes back as itself."""

import collections
import itertools
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, Literal
from zoneinfo import ZoneInfo

import pytest

from tests.values import sample_types as samples
from tests.values.typed_values import identity
from volant.model.errors import ArgumentError, ValueCodecError
from volant.values.codec import decode, encode

NOON = datetime(2024, 3, 1, 12)

LOOKALIKES: list[Any] = [
    1, True, 1.0, complex(1), Decimal(1), Decimal("1.0"), Fraction(1), "1", b"1", bytearray(b"1"), samples.Level.LOW,
    0, False, 0.0, -0.0, None, "", b"", [], (), {}, set(), frozenset(), collections.deque(), collections.OrderedDict(),
    collections.Counter(), collections.defaultdict(list), collections.defaultdict(set), collections.deque(maxlen=0),
    [[1], [2]], [[1, 2]], [[], [1, 2]], [1, [2]], (1, 2), [1, 2], {1, 2}, frozenset({1, 2}), {1: 2}, {2: 1},
    {"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": {"b": 1}}, {"a": "b"}, [("a", "b")], [["a", "b"]], {"ab": ""}, {"": "ab"},
    samples.Point(1, 2), samples.Place(1, 2), samples.Point3(1, 2, 0), samples.Box(1), samples.Box("1"),
    samples.Coordinate(1, 2.0), samples.Row(1, 2.0), (1, 2.0), {"x": 1, "y": 2},
    samples.User(id=1), samples.User(id=1, name="nobody"), samples.Admin(id=1), samples.Crate[int](content=1),
    samples.Crate(content=1), samples.Crate[str](content="1"),
    samples.Color.RED, samples.Shade.RED, "RED", samples.Mode.FAST, "fast", samples.Right.READ, samples.Right(0),
    NOON, NOON.replace(fold=1), NOON.replace(tzinfo=UTC), NOON.replace(tzinfo=ZoneInfo("UTC")), NOON.date(),
    NOON.replace(tzinfo=timezone(timedelta(0), "UTC")), NOON.isoformat(), NOON.time(), timedelta(1), timedelta(0, 1),
    Path("a"), PurePosixPath("a"), PureWindowsPath("a"), "a", range(0), range(0, 0, 2), slice(0), slice(0, 0),
    int, float, "builtins:int", len, samples.double, "\ud800\udc00", "\U00010000", ..., "...",
]  # fmt: skip


def test_no_two_of_them_share_bytes() -> None:
    for one, other in itertools.combinations(LOOKALIKES, 2):
        assert encode(one, Any).data != encode(other, Any).data, (one, other)
        assert encode([one], Any).data != encode([other], Any).data, (one, other)


@pytest.mark.parametrize("value", LOOKALIKES, ids=repr)
def test_each_comes_back_as_itself(value: Any) -> None:
    assert identity(decode(encode(value, Any).data, object)) == identity(value)


@pytest.mark.parametrize(
    ("annotation", "values"),
    [
        (int | float, [1, 1.0]),
        (bool | int, [1, True]),
        (int | str | None, [1, "1", None]),
        (list[int] | list[float], [[1], [1.0], []]),
        (list[samples.Point] | list[samples.Place], [[samples.Point(1, 2)], [samples.Place(1, 2)]]),
        (samples.Point | samples.Place, [samples.Point(1, 2), samples.Place(1, 2), samples.Point3(1, 2, 3)]),
        (samples.Point | samples.Point3, [samples.Point(1, 2), samples.Point3(1, 2, 0)]),
        (samples.Point | dict[str, int], [samples.Point(1, 2), {"x": 1, "y": 2}]),
        (samples.Color | samples.Shade | str, [samples.Color.RED, samples.Shade.RED, "RED"]),
        (date | datetime, [NOON, NOON.date()]),
        (tuple[int, ...] | list[int] | set[int], [(1,), [1], {1}]),
        (samples.User | samples.Admin, [samples.User(id=1), samples.Admin(id=1)]),
        (Literal[1, True], [1, True]),
        (Literal["a"] | int, ["a", 1]),
        (samples.Box[int] | samples.Box[str], [samples.Box(1), samples.Box("1")]),
        (samples.Movie | samples.Song, [{"title": "a"}, {"title": "a", "year": 1}, {"title": "a", "tags": []}]),
        (dict[str, samples.Point] | dict[str, samples.Place], [{"a": samples.Point(1, 2)}, {"a": samples.Place(1, 2)}]),
        (dict[str, list[samples.Point | samples.Place]], [{"a": [samples.Point(1, 2)]}, {"a": [samples.Place(1, 2)]}]),
        (type[samples.Point] | samples.Point, [samples.Point, samples.Point(1, 2)]),
    ],
    ids=str,
)
def test_the_member_of_a_union_that_was_given_is_the_one_that_comes_back(annotation: Any, values: list[Any]) -> None:
    encoded = [encode(value, annotation).data for value in values]
    assert len(set(encoded)) == len(values)
    assert [identity(decode(data, annotation)) for data in encoded] == [identity(value) for value in values]


def test_the_order_in_which_a_union_is_written_changes_no_bytes() -> None:
    one, other = list[samples.Point] | list[samples.Place], list[samples.Place] | list[samples.Point]
    value = [samples.Place(1, 2)]
    assert encode(value, one).data == encode(value, other).data


def test_bytes_from_before_a_union_grew_are_refused_where_their_member_would_be_a_guess() -> None:
    place = encode(samples.Place(1, 2), samples.Place | None).data
    grown = samples.Point | samples.Place | None
    with pytest.raises(ValueCodecError, match="without the label"):
        decode(place, grown)
    assert decode(encode(None, samples.Place | None).data, grown) is None
    assert decode(encode(samples.Place(1, 2), Any).data, grown) == samples.Place(1, 2)


def test_bytes_of_a_union_are_still_read_when_members_come_or_go() -> None:
    data = encode(samples.Place(1, 2), samples.Point | samples.Place).data
    for annotation in (samples.Place | int, samples.Color | samples.Order | samples.Place | samples.Point):
        assert decode(data, annotation) == samples.Place(1, 2)
    with pytest.raises(ValueCodecError, match="found a member of a union"):
        decode(data, samples.Place)


def test_an_int_for_a_float_arrives_as_a_float_wherever_it_is() -> None:
    for annotation, value, arrived in [
        (float, 1, 1.0),
        (list[float], [1, 2.5], [1.0, 2.5]),
        (float | None, 1, 1.0),
        (float | str, 1, 1.0),
        (dict[str, tuple[float, ...]], {"a": (1,)}, {"a": (1.0,)}),
        (complex, 1, 1 + 0j),
    ]:
        assert identity(decode(encode(value, annotation).data, annotation)) == identity(arrived)
        assert encode(value, annotation).data == encode(arrived, annotation).data


def test_an_int_that_no_float_can_hold_is_refused() -> None:
    with pytest.raises(ArgumentError, match="wanted a float, which cannot hold it"):
        encode(10**400, float)


@pytest.mark.parametrize("annotation", [int, float, complex, int | float, list[int], samples.Level, int | None])
def test_a_bool_is_no_number(annotation: Any) -> None:
    value = [True] if annotation == list[int] else True
    with pytest.raises(ArgumentError, match="found bool True"):
        encode(value, annotation)


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (samples.MyInt(3), int),
        (samples.MyStr("a"), str),
        (samples.MyList([1]), list[int]),
        (samples.Level.LOW, int),
        (samples.Mode.FAST, str),
        (samples.Point3(1, 2, 3), samples.Point),
        (samples.IntBox(1), samples.Box[int]),
        (samples.Admin(id=1), samples.User),
        (NOON, date),
        (samples.Row(1, 2), tuple[int, int]),
        (collections.OrderedDict(a=1), dict[str, int]),
        (collections.Counter("a"), dict[str, int]),
    ],
    ids=repr,
)
def test_an_instance_of_a_subclass_keeps_its_class(value: Any, annotation: Any) -> None:
    encoded = encode(value, annotation)
    assert identity(decode(encoded.data, annotation)) == identity(value)


def test_elements_of_a_set_have_one_order_whatever_the_order_of_insertion() -> None:
    words = [f"word{n}" for n in range(50)]
    assert encode({*words}, set[str]).data == encode({*words[::-1]}, set[str]).data
    assert encode({1, "1", None}, set[Any]).data == encode({None, "1", 1}, set[Any]).data


def test_bits_of_a_nan_are_kept() -> None:
    import struct

    for bits in (0x7FF8000000000000, 0x7FF8000000000123, 0xFFF8000000000000, 0x7FF0000000000001):
        (value,) = struct.unpack(">d", bits.to_bytes(8, "big"))
        data = encode(value, float).data
        assert data[-8:] == bits.to_bytes(8, "big")
        assert struct.pack(">d", decode(data, float)) == bits.to_bytes(8, "big")
