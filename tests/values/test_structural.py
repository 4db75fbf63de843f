"""Values read without their classes: nothing is imported or unpickled, and all that the bytes tell is there."""

import importlib
import json
import pickle
from collections import Counter, OrderedDict, defaultdict, deque
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, Flag
from fractions import Fraction
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, NamedTuple, TypedDict
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from volant.model.errors import ValueCodecError
from volant.values.codec import encode
from volant.values.interfaces import Interface
from volant.values.rendering import as_json, as_text
from volant.values.structural import read_arguments, read_value


class Colour(Enum):
    RED = "r"


class Mode(Flag):
    READ = 1
    WRITE = 2


@dataclass(frozen=True)
class Point:
    x: int
    y: int = 2


@dataclass
class Line:
    name: str
    points: list[Point] = field(default_factory=list[Point])


class Pair(NamedTuple):
    left: int
    right: str


class Options(TypedDict):
    deep: bool


class Model(BaseModel):
    a: int
    b: str = "b"


class Plain:
    def __init__(self) -> None:
        self.hidden = 1


@pytest.fixture(autouse=True)
def no_code_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading is made to fail where it would import or unpickle."""

    def refuse(*_args: object, **_kwargs: object) -> None:
        raise AssertionError("user code would be loaded")

    original = importlib.import_module

    def guarded(name: str, package: str | None = None) -> Any:
        assert "test_structural" not in name
        return original(name, package)

    monkeypatch.setattr(pickle, "loads", refuse)
    monkeypatch.setattr(importlib, "import_module", guarded)


def text(value: object, annotation: object = Any, **options: Any) -> str:
    return as_text(read_value(encode(value, annotation).data), **options)


def as_read(value: object, annotation: object = Any) -> Any:
    return as_json(read_value(encode(value, annotation).data))


PLAIN = [
    None,
    True,
    0,
    -(2**70),
    1.5,
    complex(1, -2),
    "text 'quoted'",
    b"\x00\xff",
    bytearray(b"ab"),
    ...,
    Decimal("1.50"),
    Fraction(1, 3),
    UUID(int=7),
    date(2024, 2, 29),
    time(1, 2, 3, 4),
    datetime(2024, 2, 29, 1, 2, 3),
    datetime(2024, 2, 29, 1, 2, 3, tzinfo=UTC),
    datetime(2024, 2, 29, tzinfo=ZoneInfo("Europe/Berlin")),
    datetime(2024, 2, 29, tzinfo=timezone(timedelta(hours=1), "one")),
    timedelta(days=1, seconds=2),
    range(1, 10, 2),
    PurePosixPath("/a/b"),
    PureWindowsPath("c:/a"),
    [1, [2, ()], (3,)],
    {"a": {1: [None]}, (1, 2): 3},
    {1},
    frozenset({1}),
    set(),
    frozenset(),
]


@pytest.mark.parametrize("value", PLAIN, ids=repr)
def test_pythons_own_values_look_as_python_writes_them(value: object) -> None:
    assert text(value) == repr(value)


@pytest.mark.parametrize(
    ("value", "annotation", "wanted"),
    [
        (Point(1), Point, "(x=1, y=2)"),
        (Point(1), Any, "Point(x=1, y=2)"),
        (Line("l", [Point(1), Point(3, 4)]), Any, "Line(name='l', points=[(x=1, y=2), (x=3, y=4)])"),
        (Point(1), Point | Pair, "Point(x=1, y=2)"),
        (Pair(1, "r"), Any, "Pair(left=1, right='r')"),
        ({"deep": True}, Options, "{'deep': True}"),
        (Model(a=1), Model, "(a=1, b='b')"),
        (Model(a=1), Any, "Model(a=1, b='b')"),
        (Colour.RED, Colour, "RED"),
        (Colour.RED, Any, "Colour.RED"),
        (Mode.READ | Mode.WRITE, Mode, "3"),
        ({Point(1): Colour.RED}, dict[Point, Colour], "{(x=1, y=2): RED}"),
        ({Point(1)}, set[Point], "{(x=1, y=2)}"),
        (int, type[int], "<builtins:int>"),
        (json.dumps, Any, "<json:dumps>"),
        (deque([1, 2], 5), Any, "[1, 2]"),
        (OrderedDict(a=1), Any, "{'a': 1}"),
        (defaultdict(list, a=[1]), Any, "{'a': [1]}"),
        (Counter("aa"), Any, "{'a': 2}"),
        (slice(1, None, 2), Any, "slice(start=1, stop=None, step=2)"),
        (numpy.int16(-3), Any, "-3"),
        (numpy.float32(1.5), Any, "1.5"),
        (numpy.complex128(1 + 2j), Any, "(1+2j)"),
        (numpy.bool_(True), Any, "True"),
    ],
)
def test_instances_show_their_fields_and_their_class_where_the_bytes_name_it(
    value: object, annotation: object, wanted: str
) -> None:
    assert text(value, annotation) == wanted


def test_a_pickle_shows_its_class_and_its_size_and_is_not_opened() -> None:
    shown = text([Plain()])
    assert shown.startswith(f"[<{__name__}:Plain, ")
    found = as_read([Plain()])
    assert found[0].keys() == {"type", "bytes"}
    assert text(lambda: 1).startswith("<")


def test_a_time_zone_of_ones_own_is_not_made_again() -> None:
    class Zone(timezone.__base__):  # type: ignore[misc, name-defined]
        def utcoffset(self, _at: datetime | None) -> timedelta:
            return timedelta(hours=3)

        def __reduce__(self) -> tuple[Any, ...]:
            return Zone, ()

    assert text(datetime(2024, 1, 1, tzinfo=Zone())).startswith("datetime(at=datetime.datetime(2024")


@pytest.mark.parametrize(
    ("value", "annotation", "wanted"),
    [
        (Line("l", [Point(1)]), Line, {"name": "l", "points": [{"x": 1, "y": 2}]}),
        ((1, "a"), tuple[int, str], [1, "a"]),
        ({1: "a"}, dict[int, str], {"1": "a"}),
        ({(1, 2): "a"}, dict[tuple[int, int], str], [[[1, 2], "a"]]),
        ({True: 1}, dict[bool, int], [[True, 1]]),
        ({"b", "a", "c"}, set[str], ["a", "b", "c"]),
        (Colour.RED, Colour, "RED"),
        (b"ab", bytes, "YWI="),
        (float("nan"), float, "nan"),
        (float("inf"), float, "inf"),
        (Decimal("1.50"), Decimal, "1.50"),
        (date(2024, 2, 29), date, "2024-02-29"),
        (2**70, int, 2**70),
    ],
)
def test_json_has_what_json_can_say(value: object, annotation: object, wanted: object) -> None:
    found = as_read(value, annotation)
    assert found == wanted
    json.dumps(found, allow_nan=False)


def test_inputs_are_read_by_parameter() -> None:
    def task(a: int, *, where: Point, b: str = "x") -> None: ...

    data = Interface.of(task, name="e.task").encode_inputs({"a": 1, "where": Point(5)}).data
    assert {name: as_text(value) for name, value in read_arguments(data).items()} == {
        "a": "1",
        "where": "(x=5, y=2)",
        "b": "'x'",
    }
    with pytest.raises(ValueCodecError, match="wanted arguments"):
        read_arguments(encode(1, int).data)


def test_what_is_too_wide_is_broken_into_lines() -> None:
    value = {"numbers": list(range(3)), "points": [Point(number) for number in range(3)]}
    assert text(value, width=30).splitlines() == [
        "{",
        "    'numbers': [0, 1, 2],",
        "    'points': [",
        "        Point(x=0, y=2),",
        "        Point(x=1, y=2),",
        "        Point(x=2, y=2),",
        "    ],",
        "}",
    ]
    assert text([1, 2], width=3).splitlines() == ["[", "    1,", "    2,", "]"]


def test_what_is_too_long_is_cut_and_says_so_unless_all_is_wanted() -> None:
    assert "    ... 400 more,\n" in text(list(range(500)))
    assert "more" not in text(list(range(500)), full=True)
    assert text("x" * 3000).endswith("' ... 1,000 more")
    assert text("x" * 3000, full=True) == repr("x" * 3000)


@pytest.mark.parametrize("data", [b"", b"\x02\x00", b"\x01", b"\x01\x7f", b"\x01\x10\xff\x01", b"\x01\x00\x00"])
def test_damaged_bytes_are_an_error_and_nothing_else(data: bytes) -> None:
    with pytest.raises(ValueCodecError):
        read_value(data)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_value_or_an_error(data: bytes) -> None:
    try:
        as_text(read_value(b"\x01" + data))
    except ValueCodecError:
        return


def test_a_value_that_is_nested_too_deeply_is_an_error() -> None:
    with pytest.raises(ValueCodecError, match="too deeply"):
        read_value(b"\x01" + b"\x10\x01" * 20_000 + b"\x00")
