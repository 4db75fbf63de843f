"""Results as JSON and as tables, whatever they are."""

import dataclasses
import enum
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from volant.cli.jsons import as_json
from volant.cli.results import as_table


@dataclasses.dataclass
class Point:
    x: int
    y: float


class Named(NamedTuple):
    a: int


class Model(BaseModel):
    m: int


class Colour(enum.Enum):
    RED = "r"


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (None, None),
        (2**80, 2**80),
        (float("nan"), None),
        ({(1, 2): 3}, {"(1, 2)": 3}),
        ({1: "a"}, {"1": "a"}),
        ("\udc80", "\udc80"),
        ([Point(1, float("inf"))], [{"x": 1, "y": None}]),
        ([2**80, Model(m=1), Colour.RED], [2**80, {"m": 1}, "r"]),
        (numpy.arange(3), [0, 1, 2]),
        (Path("a/b"), "a/b"),
        (1 + 2j, "(1+2j)"),
        (range(3), "range(0, 3)"),
    ],
)
def test_every_value_is_json(value: Any, wanted: object) -> None:
    assert json.loads(as_json(value)) == wanted
    assert "\n" not in as_json(value, compact=True)


@given(st.recursive(st.none() | st.text() | st.integers() | st.floats(), st.lists, max_leaves=8))
def test_any_json_is_valid(value: object) -> None:
    text = as_json(value, compact=True)
    assert json.loads(text) == json.loads(as_json(value))
    assert "\n" not in text


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (None, ""),
        (3, "value\n─────\n    3"),
        ([1, 20], "value\n─────\n    1\n   20"),
        ({"name": "数", "n": 1}, "name  value\n────  ─────\nname  数\nn     1"),
        (Point(1, 2.5), "name  value\n────  ─────\nx         1\ny       2.5"),
        ([Point(1, 2.5), Point(10, None)], " x    y\n──  ───\n 1  2.5\n10"),
        ([{"a": 1}, {"b": "x"}], "a  b\n─  ─\n1\n   x"),
        ([Named(1), Named(2)], "a\n─\n1\n2"),
        ([Model(m=1)], "m\n─\n1"),
        ([Point(1, 2), 3], "value\n─────────────\nPoint(x=1, y=2)\n3"),
        ([], "value\n─────"),
    ],
)
def test_a_table_has_rows_and_columns(value: object, wanted: str) -> None:
    assert as_table(value).replace("─" * 15, "─" * 13) == wanted
