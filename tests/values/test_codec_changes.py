"""Values that were stored before a class changed: a default where there is one, else an error with class and field."""

import sys
import textwrap
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from volant.model.errors import ValueCodecError
from volant.values.codec import PLANNER, decode, encode

NAME = "changing_module"
HEAD = """
    import enum
    from dataclasses import dataclass, field
    from typing import Any, NamedTuple, TypedDict
    import pydantic
"""


@pytest.fixture
def program() -> Iterator[Any]:
    """Makes a module of this text the one that there is."""

    def edit(text: str) -> ModuleType:
        module = ModuleType(NAME)
        sys.modules[NAME] = module
        exec(textwrap.dedent(HEAD) + textwrap.dedent(text), module.__dict__)
        PLANNER.forget()
        return module

    yield edit
    sys.modules.pop(NAME, None)
    PLANNER.forget()


KINDS = {
    "dataclass": "@dataclass\nclass Order:\n",
    "model": "class Order(pydantic.BaseModel):\n",
    "tuple": "class Order(NamedTuple):\n",
}


def order(kind: str, *fields: str) -> str:
    return KINDS[kind] + "".join(f"    {field}\n" for field in fields)


def read_again(program: Any, old: str, value: str, new: str, annotation: str = "Order") -> Any:
    before = program(old)
    data = encode(eval(value, before.__dict__), eval(annotation, before.__dict__)).data
    after = program(new)
    return decode(data, eval(annotation, after.__dict__), where="task 't', return value")


@pytest.mark.parametrize("annotation", ["Order", "list[Order] | Order", "Any"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_new_field_gets_its_default(program: Any, kind: str, annotation: str) -> None:
    new = order(kind, "x: int", "tags: tuple[str, ...] = ('new',)")
    again = read_again(program, order(kind, "x: int"), "Order(x=1)", new, annotation)
    assert (type(again).__name__, again.x, again.tags) == ("Order", 1, ("new",))
    assert type(again) is sys.modules[NAME].Order


def test_a_new_field_with_a_factory_gets_a_default_of_its_own(program: Any) -> None:
    new = order("dataclass", "x: int", "tags: list[str] = field(default_factory=list)")
    one = read_again(program, order("dataclass", "x: int"), "[Order(1), Order(2)]", new, "list[Order]")
    assert one[0].tags == []
    assert one[0].tags is not one[1].tags


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_field_without_a_default_is_named_with_its_class_and_the_remedy(program: Any, kind: str) -> None:
    with pytest.raises(ValueCodecError) as caught:
        read_again(program, order(kind, "x: int"), "[Order(x=1)]", order(kind, "x: int", "y: int"), "list[Order]")
    assert str(caught.value) == ("task 't', return value[0]: the field 'y' of Order is missing and has no default")
    assert caught.value.hint == "give 'y' a default: the value was stored before there was such a field"


@pytest.mark.parametrize("kind", KINDS)
def test_a_field_that_is_gone_is_an_error_not_a_loss(program: Any, kind: str) -> None:
    with pytest.raises(ValueCodecError, match=r"\.price: found the field 'price', which Order does not have") as caught:
        read_again(program, order(kind, "x: int", "price: float"), "Order(x=1, price=2.0)", order(kind, "x: int"))
    assert caught.value.hint is not None
    assert caught.value.hint.startswith("keep 'price', with a default")


@pytest.mark.parametrize("kind", KINDS)
def test_a_renamed_field_is_an_error_that_suggests_the_new_name(program: Any, kind: str) -> None:
    with pytest.raises(ValueCodecError, match=r"found the field 'prize', which Order does not have.*'price'"):
        read_again(program, order(kind, "prize: float"), "Order(prize=2.0)", order(kind, "price: float = 0.0"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_field_of_another_type_is_an_error(program: Any, kind: str) -> None:
    with pytest.raises(ValueCodecError, match=r"\.x: found int, wanted str"):
        read_again(program, order(kind, "x: int"), "Order(x=1)", order(kind, "x: str"))


@pytest.mark.parametrize("kind", KINDS)
def test_fields_may_change_places(program: Any, kind: str) -> None:
    new = order(kind, "y: int", "x: int")
    again = read_again(program, order(kind, "x: int", "y: int"), "Order(x=1, y=2)", new)
    assert (again.x, again.y) == (1, 2)


@pytest.mark.parametrize("annotation", ["Any", "list[Any]"])
def test_a_renamed_class_is_an_error_until_its_old_name_leads_to_it(program: Any, annotation: str) -> None:
    old, new = order("dataclass", "x: int"), order("dataclass", "x: int").replace("Order", "Purchase")
    value = "Order(1)" if annotation == "Any" else "[Order(1)]"
    with pytest.raises(ValueCodecError, match=f"'{NAME}:Order' is not there any more") as caught:
        read_again(program, old, value, new, annotation)
    assert caught.value.hint == "where it was renamed, keep its old name beside the new one: Order = NewName"
    again = read_again(program, old, value, new + "Order = Purchase\n", annotation)
    assert type(again if annotation == "Any" else again[0]).__name__ == "Purchase"


def test_a_class_that_became_something_else_is_an_error(program: Any) -> None:
    old = order("dataclass", "x: int")
    for new in ("def Order(x): return x", "class Order:\n    pass\n", "Order = int"):
        with pytest.raises(ValueCodecError, match="Order"):
            read_again(program, old, "Order(1)", new, "Any")


def test_a_member_of_an_enum_that_is_gone_is_named(program: Any) -> None:
    old = "class Colour(enum.Enum):\n    RED = 1\n    BLUE = 2\n"
    for annotation in ("Colour", "Any", "list[Colour]"):
        value = "[Colour.BLUE]" if annotation.startswith("list") else "Colour.BLUE"
        with pytest.raises(ValueCodecError, match=r"'BLUE'.*Colour|Colour.*'BLUE'"):
            read_again(program, old, value, "class Colour(enum.Enum):\n    RED = 1\n", annotation)


def test_a_member_of_an_enum_keeps_its_name_when_its_value_changes(program: Any) -> None:
    old, new = "class Colour(enum.Enum):\n    RED = 1\n", "class Colour(enum.Enum):\n    BLUE = 1\n    RED = 2\n"
    assert read_again(program, old, "Colour.RED", new, "Colour").name == "RED"


def test_a_key_of_a_typed_dict_that_came_or_went_is_named(program: Any) -> None:
    old = "class Movie(TypedDict):\n    title: str\n"
    with pytest.raises(ValueCodecError, match="without 'year', wanted Movie"):
        read_again(program, old, "{'title': 'a'}", old + "    year: int\n", "Movie")
    with pytest.raises(ValueCodecError, match="'title', which Movie does not have"):
        read_again(program, old, "{'title': 'a'}", "class Movie(TypedDict):\n    name: str\n", "Movie")
