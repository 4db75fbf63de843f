"""`task.json_schema`: valid schemas, of everything that a task may take and return."""

import dataclasses
import enum
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypedDict, TypeVar

import numpy
import pandas
import pydantic
import pytest
from jsonschema import Draft202012Validator

import volant
from volant.values.schemas import Field, object_schema

T = TypeVar("T")


class Colour(enum.Enum):
    """Of a wall."""

    RED = 1
    BLUE = "b"


@dataclasses.dataclass
class Node:
    value: int
    children: "list[Node]" = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Box(Generic[T]):
    inside: T


class User(pydantic.BaseModel):
    name: str = pydantic.Field(description="who", min_length=1)
    friend: "User | None" = None


class Team(pydantic.BaseModel):
    lead: User


class Movie(TypedDict, total=False):
    title: str


class Odd:
    pass


class Result(NamedTuple):
    total: int
    frame: pandas.DataFrame


def schema_of(annotation: Any) -> dict[str, Any]:
    schema = object_schema({"x": Field(annotation)}, title="t")
    Draft202012Validator.check_schema(schema)
    return schema


@pytest.mark.parametrize(
    ("annotation", "good", "bad"),
    [
        (int, 1, "1"),
        (float, 1.5, "a"),
        (bool, True, 1),
        (None, None, 0),
        (str | None, None, 1),
        (datetime, "2026-01-02T03:04:05", 1),
        (bytes, "AA==", 1),
        (Path, "a/b", 1),
        (list[int], [1], ["a"]),
        (tuple[int, str], [1, "a"], [1]),
        (set[int], [1, 2], [1, 1]),
        (dict[str, int], {"a": 1}, {"a": "b"}),
        (dict[int, list[int]], {"1": [1]}, {"1": 1}),
        (dict[tuple[int, int], float], [[[1, 2], 0.5]], {"a": 1}),
        (Literal["a", 1], "a", "b"),
        (Colour, "RED", "GREEN"),
        (Node, {"value": 1, "children": [{"value": 2}]}, {"value": 1, "children": [{}]}),
        (Box[int], {"inside": 1}, {"inside": "a"}),
        (User, {"name": "a", "friend": {"name": "b"}}, {"name": "a", "friend": {"name": ""}}),
        (Team, {"lead": {"name": "a"}}, {"lead": {}}),
        (Movie, {}, {"year": 1}),
        (Annotated[int, pydantic.Field(ge=0)], 0, -1),
        (Any, {"any": ["thing"]}, None),
        (numpy.ndarray | int, 5, None),
    ],
    ids=str,
)
def test_a_schema_accepts_what_fits_and_nothing_else(annotation: Any, good: Any, bad: Any) -> None:
    validator = Draft202012Validator(schema_of(annotation))
    assert validator.is_valid({"x": good})
    assert bad is None or not validator.is_valid({"x": bad}), schema_of(annotation)


def test_classes_of_one_name_have_definitions_of_their_own() -> None:
    def other() -> Any:
        @dataclasses.dataclass
        class Node:
            other: str

        Node.__qualname__ = "Node"
        return Node

    validator = Draft202012Validator(schema_of(tuple[Node, other(), Box[int], Box[str]]))
    assert validator.is_valid({"x": [{"value": 1}, {"other": "a"}, {"inside": 1}, {"inside": "a"}]})
    assert not validator.is_valid({"x": [{"value": 1}, {"value": 1}, {"inside": 1}, {"inside": "a"}]})


def test_what_json_has_no_form_for_is_named() -> None:
    assert schema_of(Odd)["properties"]["x"] == {"title": "Odd", "x-python-type": f"{__name__}:Odd"}


def test_a_task_describes_its_inputs_with_defaults_and_the_words_of_its_docstring() -> None:
    env = volant.TaskEnvironment(name="describing")

    @env.task
    async def paint(n: int, colour: Colour = Colour.RED, day: date = date(2026, 1, 2), odd: Any = None) -> Result:
        """Paint a wall.

        Args:
            n: how many coats
        """
        raise NotImplementedError

    inputs = paint.json_schema.inputs
    Draft202012Validator.check_schema(inputs)
    assert inputs["title"] == "describing.paint"
    assert inputs["description"] == "Paint a wall."
    assert inputs["required"] == ["n"]
    assert inputs["properties"]["n"] == {"type": "integer", "description": "how many coats"}
    assert inputs["properties"]["colour"]["default"] == "RED"
    assert inputs["properties"]["day"]["default"] == "2026-01-02"
    assert inputs["$defs"]["Colour"]["description"] == "Of a wall."
    outputs = paint.json_schema.outputs
    assert outputs["properties"]["total"] == {"type": "integer"}
    assert outputs["properties"]["frame"]["x-python-type"].startswith("pandas")


def test_outputs_are_named_as_results_are() -> None:
    env = volant.TaskEnvironment(name="describing_outputs")

    @env.task
    def one(x: int) -> list[int]:
        return [x]

    @env.task
    def two() -> tuple[int, str]:
        return 1, "a"

    @env.task
    def only() -> tuple[int]:
        return (1,)

    @env.task
    def none() -> None: ...

    @env.task
    def untold():  # type: ignore[no-untyped-def]
        return 1

    assert one.json_schema.outputs["properties"] == {"o0": {"type": "array", "items": {"type": "integer"}}}
    assert two.json_schema.outputs["properties"] == {"o0": {"type": "integer"}, "o1": {"type": "string"}}
    assert only.json_schema.outputs["properties"] == {"o0": {"type": "integer"}}
    assert none.json_schema.outputs["properties"] == {}
    assert untold.json_schema.outputs["properties"] == {"o0": {}}
