"""Text of the command line becomes values of the annotated types, or an error that says what is wanted."""

import contextlib
import enum
import io
import json
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, NewType, Optional, TypedDict
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from volant.cli.values import BadText, element_of, label, parse, parse_all


class Colour(enum.Enum):
    RED = "r"
    GREEN = "g"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


@dataclass
class Point:
    x: int
    y: int = 0


class Named(NamedTuple):
    a: int
    b: str


class Typed(TypedDict):
    a: int


@dataclass
class Stored:
    x: Path


class Model(BaseModel):
    points: list[Point]


class Plain:
    """A class of which JSON knows nothing."""


Metres = NewType("Metres", float)


@pytest.mark.parametrize(
    ("text", "annotation", "said"),
    [
        ('{"x": 1, "z": 2}', Point, "Point has no field 'z' - at `$`"),
        ('[{"x": 1}, {"x": 2, "yy": 3}]', list[Point], "Point has no field 'yy'; did you mean 'y'? - at `$[1]`"),
        ('{"a": {"x": 1, "X": 2}}', dict[str, Point], "Point has no field 'X'; did you mean 'x'? - at `$.a`"),
        ('[1, {"x": 1, "z": 2}]', tuple[int, Point | None], "Point has no field 'z' - at `$[1]`"),
        ('{"a": 1, "b": 2}', Typed, "Typed has no field 'b' - at `$`"),
        ('{"x": "p", "y": 1}', Annotated[Stored, "note"], "Stored has no field 'y' - at `$`"),
    ],
)
def test_a_key_that_is_no_field_is_refused_wherever_it_stands(text: str, annotation: Any, said: str) -> None:
    with pytest.raises(BadText) as raised:
        parse(text, annotation)
    assert str(raised.value).endswith(f": {said}")


def test_any_object_is_json_or_else_text() -> None:
    assert parse('{"a": [1]}', object) == {"a": [1]}
    assert parse("words", object) == "words"


def test_models_say_by_themselves_what_they_take() -> None:
    assert parse('{"points": [], "more": 1}', Model) == Model(points=[])


@pytest.mark.parametrize(
    ("text", "annotation", "value"),
    [
        ("7", int, 7),
        ("-7", int, -7),
        ("1_000", int, 1000),
        ("1e3", float, 1000.0),
        ("1+2j", complex, 1 + 2j),
        ("text", str, "text"),
        ("", str, ""),
        ("7", str, "7"),
        ("ä", bytes, "ä".encode()),
        ("yes", bool, True),
        ("off", bool, False),
        ("1.10", Decimal, Decimal("1.10")),
        ("1/3", Fraction, Fraction(1, 3)),
        ("a/b", Path, Path("a/b")),
        ("2026-01-02", date, date(2026, 1, 2)),
        ("2026-01-02T03:04+02:00", datetime, datetime.fromisoformat("2026-01-02T03:04+02:00")),
        ("03:04", time, time(3, 4)),
        ("90s", timedelta, timedelta(seconds=90)),
        ('{"x": "a/b"}', Stored, Stored(Path("a/b"))),
        ("12345678-1234-5678-1234-567812345678", UUID, UUID("12345678-1234-5678-1234-567812345678")),
        ("RED", Colour, Colour.RED),
        ("red", Colour, Colour.RED),
        ("g", Colour, Colour.GREEN),
        ("HIGH", Level, Level.HIGH),
        ("2", Level, Level.HIGH),
        ("b", Literal["a", "b"], "b"),
        ("2", Literal[1, 2], 2),
        ("5", Optional[int], 5),  # noqa: UP045
        ("null", int | None, None),
        ("none", str | None, "none"),
        ("5", int | str, 5),
        ("x", int | str, "x"),
        ("5", str | int, 5),
        ("1.5", int | float, 1.5),
        ("1.5", Annotated[float, "seconds"], 1.5),
        ("1.5", Metres, 1.5),
        ("[1, 2]", list[int], [1, 2]),
        ("[1, 2]", tuple[int, ...], (1, 2)),
        ("[1, 2]", set[int], {1, 2}),
        ('{"a": [1.5]}', dict[str, list[float]], {"a": [1.5]}),
        ('{"x": 1}', Point, Point(1)),
        ('{"a": 1}', Typed, {"a": 1}),
        ('["r"]', list[Colour], [Colour.RED]),
        ('["2026-01-02"]', list[date], [date(2026, 1, 2)]),
        ('{"points": [{"x": 1, "y": 2}]}', Model, Model(points=[Point(1, 2)])),
        ('[{"points": []}]', list[Model], [Model(points=[])]),
        ("[1]", Any, [1]),
        ("plain", Any, "plain"),
    ],
)
def test_text_becomes_a_value(text: str, annotation: Any, value: object) -> None:
    found = parse(text, annotation)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "annotation", "wanted"),
    [
        ("x", int, "'x' is not a valid integer"),
        ("1.5", int, "not a valid integer"),
        ("", float, "not a valid number"),
        ("perhaps", bool, "'perhaps' is not true or false"),
        ("1,5", Decimal, "not a valid decimal"),
        ("1/0", Fraction, "not a valid fraction"),
        ("2026-13-01", date, "not a valid date"),
        ("90", timedelta, "not a valid duration: expected a duration such as .* write 90s or 90min"),
        ("04/07/2013", date, "not a valid date: expected a date such as 2013-07-04"),
        ("gren", Colour, "did you mean 'GREEN'"),
        ("@nowhere.json", list[int], r"the file nowhere\.json .* cannot be read: No such file"),
        ("blue", Colour, "'blue' is not one of RED, GREEN"),
        ("c", Literal["a", "b"], "'c' is not one of a, b"),
        ("x", int | float, "not a valid integer; .* not a valid number"),
        ("[1, 'x']", list[int], r"is not JSON for list\[int\]"),
        ('["x"]', list[int], r"is not JSON for list\[int\]"),
        ("5", list[int], r"is not JSON for list\[int\]"),
        ('{"y": 1}', Point, "is not JSON for Point"),
        ('{"points": [{"x": "a"}]}', Model, r"is not JSON for Model: points\.0\.x"),
        ("1", Plain, "'1' is not JSON for Plain: no JSON stands for Plain, which only Python code can pass"),
        ('{"a": [{}]}', dict[str, list[Plain]], r"no JSON stands for Plain, .* - at `\$\[\.\.\.\]\[0\]`"),
        ("{}", Plain | None, "no JSON stands for Plain"),
    ],
)
def test_text_that_is_no_value_is_refused(text: str, annotation: Any, wanted: str) -> None:
    with pytest.raises(BadText, match=wanted):
        parse(text, annotation)


@pytest.mark.parametrize(
    ("texts", "annotation", "value"),
    [
        (["1", "2"], list[int], [1, 2]),
        (["[1, 2]"], list[int], [1, 2]),
        (["1"], tuple[int, ...], (1,)),
        (["a", "[b"], set[str], {"a", "[b"}),
        (["g", "red"], list[Colour] | None, [Colour.GREEN, Colour.RED]),
        (["none"], list[int] | None, None),
        (["[1, 2]"], list[list[int]], [[1, 2]]),
        (["[[1], [2]]"], list[list[int]], [[1], [2]]),
        (['{"x": 1}', '{"x": 2}'], list[Point], [Point(1), Point(2)]),
        (["2 days", "1h"], list[timedelta], [timedelta(days=2), timedelta(hours=1)]),
        (["x", "1"], list, ["x", 1]),
    ],
)
def test_options_given_again_become_a_collection(texts: list[str], annotation: Any, value: object) -> None:
    assert element_of(annotation) is not None
    found = parse_all(texts, annotation)
    assert found == value
    assert type(found) is type(value)


def test_a_collection_is_refused_for_its_first_wrong_element() -> None:
    with pytest.raises(BadText, match="'x' is not a valid integer"):
        parse_all(["1", "x"], list[int])
    with pytest.raises(BadText, match=r"is not JSON for list\[int\]"):
        parse_all(["[1, x]"], list[int])
    with pytest.raises(BadText, match="cannot be elements of a set"):
        parse_all(["[1]", "[2]"], set[list[int]])  # type: ignore[misc]


def test_json_is_read_from_a_file_and_from_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "points.json"
    file.write_text('[{"x": 1}]')
    assert parse(f"@{file}", list[Point]) == [Point(1)]
    monkeypatch.setattr("sys.stdin", io.StringIO("[1, 2]"))
    assert parse("@-", list[int]) == [1, 2]
    file.write_text("[")
    with pytest.raises(BadText, match=r"what is in '@.*points\.json' is not JSON for list\[Point\]"):
        parse(f"@{file}", list[Point])


@given(st.integers() | st.floats(allow_nan=False) | st.booleans() | st.dates() | st.decimals(allow_nan=False))
def test_what_python_writes_is_read_back(value: object) -> None:
    assert parse(str(value), type(value)) == value


@given(
    st.lists(st.integers(-(2**53), 2**53)), st.dictionaries(st.text(), st.floats(allow_nan=False, allow_infinity=False))
)
def test_json_is_read_back(numbers: list[int], table: dict[str, float]) -> None:
    assert parse(json.dumps(numbers), list[int]) == numbers
    assert parse(json.dumps(table), dict[str, float]) == table


@given(st.text(), st.sampled_from([int, float, bool, date, list[int], Point, Colour, int | None, Model]))
def test_any_text_is_a_value_or_is_refused(text: str, annotation: Any) -> None:
    with contextlib.suppress(BadText):
        assert parse(text, annotation) is not BadText


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        (int, "integer"),
        (int | None, "integer"),
        (int | str, "integer|text"),
        (Colour, "RED|GREEN"),
        (Literal[1, "a"], "1|a"),
        (list[int], "integer ..."),
        (set[Colour] | None, "RED|GREEN ..."),
        (dict[str, int], "json or @file"),
        (list[Point], "json or @file"),
        (Any, "text or json"),
        (Metres, "number"),
    ],
)
def test_the_help_says_what_is_wanted(annotation: Any, text: str) -> None:
    assert label(annotation) == text
