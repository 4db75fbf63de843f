"""Classes of fields: what is kept of an instance, and what becomes of old bytes when a class has changed."""

import collections
import dataclasses
import functools
import math
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar

import pydantic
import pytest

from tests.values import sample_types as samples
from tests.values.typed_values import identity
from volant.model.errors import ArgumentError, ValueCodecError
from volant.values.codec import decode, encode

T = TypeVar("T")


def there_and_back(value: Any, annotation: Any) -> Any:
    return decode(encode(value, annotation).data, annotation)


def test_a_dataclass_is_made_again_without_running_its_constructor() -> None:
    value = samples.Derived(2, 3)
    value.result = 7
    assert there_and_back(value, samples.Derived).result == 7


def test_frozen_slotted_and_private_fields_come_back() -> None:
    @dataclass(frozen=True, slots=True)
    class Base:
        a: int

    @dataclass(frozen=True, slots=True)
    class Derived(Base):
        b: int
        __hidden: int = 3

    value = Derived(1, 2, 4)
    assert there_and_back(value, Derived) == value
    assert there_and_back(Base(1), Base) == Base(1)


def test_attributes_that_are_no_fields_come_back() -> None:
    value = samples.Point(1, 2)
    value.note = ["kept"]  # type: ignore[attr-defined]
    again = there_and_back(value, samples.Point)
    assert vars(again) == {"x": 1, "y": 2, "note": ["kept"]}
    assert encode(value, samples.Point).data != encode(samples.Point(1, 2), samples.Point).data


def test_a_cached_property_is_computed_again_and_changes_no_bytes() -> None:
    @dataclass
    class Circle:
        radius: float

        @functools.cached_property
        def area(self) -> float:
            return math.pi * self.radius**2

    value = Circle(2.0)
    before = encode(value, Circle)
    assert value.area > 12
    assert encode(value, Circle) == before
    assert "area" not in vars(there_and_back(value, Circle))


def test_a_field_without_a_value_stays_without_one() -> None:
    value = samples.Derived(1)
    del value.result
    again = there_and_back(value, samples.Derived)
    assert not hasattr(again, "result")
    assert again.base == 1


def test_a_default_that_does_not_fit_its_annotation_is_accepted() -> None:
    assert there_and_back(samples.Sloppy(), samples.Sloppy) == samples.Sloppy()
    assert there_and_back(samples.Sloppy("a", 2), samples.Sloppy) == samples.Sloppy("a", 2.0)


def test_a_dataclass_with_its_own_pickling_is_pickled() -> None:
    @dataclass
    class Counting:
        n: int

        def __reduce__(self) -> Any:
            return Counting, (self.n + 1,)

    encoded = encode(Counting(1), Counting)
    assert encoded.pickled == ("value",)
    assert decode(encoded.data, Counting).n == 2


def test_a_dataclass_on_top_of_a_builtin_keeps_all_of_itself() -> None:
    @dataclass
    class Tagged(dict[str, int]):
        tag: str = ""

    value = Tagged("a")
    value["x"] = 1
    again = there_and_back(value, Tagged)
    assert again["x"] == 1
    assert again.tag == "a"


def _point(*fields: Any) -> Any:
    return dataclasses.make_dataclass("Point", fields)


def _bytes_of(cls: Any, *args: Any) -> bytes:
    return encode(cls(*args), cls).data


def test_old_bytes_without_a_new_field_get_its_default() -> None:
    old = _bytes_of(_point(("x", int)), 1)
    new = _point(("x", int), ("y", int, 5), ("z", list, field(default_factory=list)))
    assert decode(old, new) == new(1, 5, [])


def test_old_bytes_without_a_new_field_that_has_no_default_are_refused() -> None:
    old = _bytes_of(_point(("x", int)), 1)
    with pytest.raises(ValueCodecError, match="the field 'y' of Point is missing and has no default"):
        decode(old, _point(("x", int), ("y", int)))


def test_old_bytes_with_a_field_that_is_gone_are_refused() -> None:
    old = _bytes_of(_point(("x", int), ("y", int)), 1, 2)
    with pytest.raises(ValueCodecError, match="found the field 'y', which Point does not have"):
        decode(old, _point(("x", int)))


def test_old_bytes_of_a_field_that_changed_its_type_are_refused() -> None:
    old = _bytes_of(_point(("x", int)), 1)
    with pytest.raises(ValueCodecError, match=r"value\.x: found int, wanted str"):
        decode(old, _point(("x", str)))


def test_fields_may_change_their_order() -> None:
    old = _bytes_of(_point(("x", int), ("y", int)), 1, 2)
    new = _point(("y", int), ("x", int))
    assert decode(old, new) == new(2, 1)


def test_a_class_of_the_same_name_is_another_class() -> None:
    with pytest.raises(ArgumentError, match=r"wanted Point of .*, which is another class"):
        encode(_point(("x", int))(1), _point(("x", int)))


def test_models_and_named_tuples_get_new_defaults_too() -> None:
    def model(**fields: Any) -> Any:
        return pydantic.create_model("Model", **fields)

    before = model(a=(int, ...))
    old = encode(before(a=1), before).data
    new = model(a=(int, ...), b=(list[int], pydantic.Field(default_factory=lambda: [1])))
    assert decode(old, new) == new(a=1)

    one = collections.namedtuple("Row", ["a"])
    two = collections.namedtuple("Row", ["a", "b"], defaults=[9])
    assert decode(encode(one(1), one).data, two) == two(1, 9)


def test_a_class_of_a_function_body_travels_under_its_annotation_without_a_pickle() -> None:
    @dataclass
    class Local:
        n: int
        more: "list[Local]" = field(default_factory=list)

    class LocalTuple(NamedTuple):
        a: int

    class LocalModel(pydantic.BaseModel):
        a: int

    for value in (Local(1, [Local(2)]), LocalTuple(1), LocalModel(a=1)):
        encoded = encode([value], list[type(value)])
        assert encoded.pickled == ()
        assert decode(encoded.data, list[type(value)]) == [value]


def test_a_class_of_a_function_body_is_pickled_where_no_annotation_names_it() -> None:
    @dataclass
    class Local:
        n: int

    encoded = encode({"a": Local(1)}, Any)
    assert encoded.pickled == ("value['a']",)
    assert encoded.digest is None
    assert identity(decode(encoded.data, Any)) == identity({"a": Local(1)})


def test_the_annotated_class_stands_in_for_one_of_its_name_in_another_module() -> None:
    named = encode(samples.Point(1, 2), Any).data
    elsewhere = named.replace(b"tests.values.sample_types:Point", b"tests.values.sample_typeX:Point")
    assert decode(elsewhere, samples.Point) == samples.Point(1, 2)
    with pytest.raises(ValueCodecError, match="cannot be imported"):
        decode(elsewhere, Any)
    with pytest.raises(ValueCodecError, match="cannot be imported"):
        decode(elsewhere, samples.Place)


def test_type_variables_are_bound_through_generic_bases() -> None:
    @dataclass
    class Middle(samples.Box[list[T]], Generic[T]):
        pass

    @dataclass
    class Leaf(Middle[float]):
        pass

    assert identity(there_and_back(Leaf([1, 2]), Leaf)) == identity(Leaf([1.0, 2.0]))
    assert identity(there_and_back(Middle([1]), Middle[float])) == identity(Middle([1.0]))
    assert identity(there_and_back(Middle([1]), Middle)) == identity(Middle([1]))


def test_which_fields_of_a_model_were_set_is_kept() -> None:
    explicit, implicit = samples.User(id=1, name="nobody"), samples.User(id=1)
    assert there_and_back(explicit, samples.User).model_fields_set == {"id", "name"}
    assert there_and_back(implicit, samples.User).model_fields_set == {"id"}


def test_a_model_is_made_again_without_validating_it() -> None:
    class Strange(pydantic.BaseModel):
        n: int

        @pydantic.field_validator("n")
        @classmethod
        def double(cls, n: int) -> str:
            return f"number {2 * n}"

    value = Strange(n=1)
    assert there_and_back(value, Strange).n == "number 2"


def test_aliases_extra_and_private_attributes_of_models_come_back() -> None:
    team = samples.Team(lead=samples.Admin(id=2), teamSize=3)  # type: ignore[call-arg]
    again = there_and_back(team, samples.Team)
    assert again == team
    assert type(again.lead) is samples.Admin
    loose = samples.Loose(id=1, more=[1])  # type: ignore[call-arg]
    loose._secret = 9
    again = there_and_back(loose, samples.Loose)
    assert again == loose
    assert again._secret == 9


def test_root_models_and_pydantic_dataclasses_come_back() -> None:
    class Numbers(pydantic.RootModel[list[int]]):
        pass

    @pydantic.dataclasses.dataclass
    class Checked:
        n: int

    assert there_and_back(Numbers([1]), Numbers) == Numbers([1])
    assert there_and_back(Checked(1), Checked) == Checked(1)


def test_an_unparametrised_model_is_accepted_where_a_parametrised_one_is_annotated() -> None:
    value = samples.Crate(content=1)
    again = there_and_back(value, samples.Crate[int])
    assert type(again) is samples.Crate
    assert again == value


def test_a_typed_dict_keeps_the_order_of_its_keys() -> None:
    value: Any = {"year": 1, "title": "a"}
    assert list(there_and_back(value, samples.Movie)) == ["year", "title"]
