"""Ways to write a type: aliases, qualifiers, strings, generics of old and new syntax."""

import sys
import typing
from collections.abc import Iterable, Mapping, MutableSequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Annotated, Any, Final, ForwardRef, NewType, TypeAlias, TypeVar

import pytest
import typing_extensions

from tests.values import sample_types as samples
from tests.values.typed_values import identity
from volant.model.errors import ArgumentError, DefinitionError
from volant.values.codec import decode, encode

Numbers: TypeAlias = "list[int]"
UserId = NewType("UserId", int)
Users = NewType("Users", list[UserId])
Bound = TypeVar("Bound", bound=samples.Point)


@pytest.mark.parametrize(
    ("annotation", "value", "wrong"),
    [
        (Annotated[list[Annotated[int, "m"]], {"unhashable": []}], [1], ["a"]),
        (Users, [1], ["a"]),
        (Final[int], 1, "a"),
        (typing.List[int], [1], ["a"]),  # noqa: UP006
        (typing.Dict[str, int], {"a": 1}, {"a": "a"}),  # noqa: UP006
        (typing.Tuple[int, ...], (1,), ("a",)),  # noqa: UP006
        (typing.Optional[int], None, "a"),  # noqa: UP045
        (typing.Union[int, str], "a", 1.5),  # noqa: UP007
        (Bound, samples.Point3(1, 2, 3), samples.Place(1, 2)),
        (tuple[()], (), (1,)),
        (typing.Type[samples.Point], samples.Point3, samples.Place),  # noqa: UP006
        (typing_extensions.TypeAliasType("Alias", list[int]), [1], ["a"]),
        (Iterable[int], {1, 2}, {"a"}),
        (MutableSequence[int], [1], (1,)),
        (AbstractSet[int], frozenset({1}), [1]),
        (Mapping[str, samples.Point], {"a": samples.Point(1, 2)}, {"a": samples.Place(1, 2)}),
        (samples.Labelled[int], samples.Labelled("a", 1), samples.Labelled("a", "b")),
        (typing.LiteralString, "a", 1),
    ],
    ids=str,
)
def test_a_type_means_the_same_however_it_is_written(annotation: Any, value: Any, wrong: Any) -> None:
    encoded = encode(value, annotation)
    assert encoded.pickled == ()
    assert identity(decode(encoded.data, annotation)) == identity(value)
    with pytest.raises(ArgumentError):
        encode(wrong, annotation)


def test_bytes_depend_on_the_type_that_is_meant_not_on_how_it_is_written() -> None:
    for one, other in [
        (list[int], typing.List[int]),  # noqa: UP006
        (int | None, typing.Optional[int]),  # noqa: UP045
        (Annotated[int, "m"], UserId),
        (list[int], Any),
    ]:
        value: Any = [1] if "ist" in str(one) else 1
        assert encode(value, one) == encode(value, other)


def test_strings_that_nobody_resolved_are_an_error() -> None:
    for annotation in ("int", ForwardRef("int"), list["int"], dict[str, "int"], typing.Optional["int"]):
        with pytest.raises(DefinitionError, match="not resolved"):
            encode(1, annotation)


def test_a_field_whose_type_is_only_imported_for_type_checkers_describes_itself() -> None:
    @dataclass
    class Holder:
        thing: "Missing"  # type: ignore[name-defined]  # noqa: F821
        n: int = 1

    again = decode(encode(Holder([1, samples.Point(1, 2)]), Holder).data, Holder)
    assert again == Holder([1, samples.Point(1, 2)])
    with pytest.raises(ArgumentError, match=r"value\.n: found str 'a', wanted int"):
        encode(Holder(1, "a"), Holder)  # type: ignore[arg-type]


def test_aliases_that_only_name_each_other_are_an_error() -> None:
    class TypeAliasType:
        __value__: Any

    one, other = TypeAliasType(), TypeAliasType()
    one.__value__, other.__value__ = other, one
    with pytest.raises(DefinitionError, match="nothing but itself"):
        encode(1, one)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the syntax of PEP 695 is from Python 3.12 on")
def test_aliases_and_generics_of_the_new_syntax() -> None:
    namespace: dict[str, Any] = {"__name__": __name__, "dataclass": dataclass, "NamedTuple": typing.NamedTuple}
    exec(
        "type Json = dict[str, Json] | list[Json] | str | float | int | bool | None\n"
        "type Pairs[T] = list[tuple[T, T]]\n"
        "@dataclass\nclass Crate[T]:\n    item: T\n    more: list[T]\n"
        "@dataclass\nclass IntCrate(Crate[int]):\n    pass\n"
        "class Entry[T](NamedTuple):\n    key: str\n    value: T\n",
        namespace,
    )
    document = {"a": [1, 2.5, None, {"b": [True, "c"]}]}
    json, pairs, crate = namespace["Json"], namespace["Pairs"], namespace["Crate"]
    assert identity(decode(encode(document, json).data, json)) == identity(document)
    with pytest.raises(ArgumentError, match=r"value\['a'\]"):
        encode({"a": [b"bytes"]}, json)
    assert decode(encode([(1, 2)], pairs[int]).data, pairs[int]) == [(1, 2)]
    with pytest.raises(ArgumentError, match=r"value\[0\]\[1\]: found str 'a', wanted int"):
        encode([(1, "a")], pairs[int])
    assert decode(encode(crate(1, [2]), crate[int]).data, crate[int]) == crate(1, [2])
    with pytest.raises(ArgumentError, match=r"value\.more\[0\]: found str 'a', wanted int"):
        encode(namespace["IntCrate"](1, ["a"]), namespace["IntCrate"])
    with pytest.raises(ArgumentError, match=r"value\.value: found str 'a', wanted int"):
        encode(namespace["Entry"]("k", "a"), namespace["Entry"][int])
