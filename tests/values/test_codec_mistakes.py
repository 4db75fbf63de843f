"""What a wrong value gets: the place, what was found there, what was wanted."""

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Literal, Never, TypeVar

import pytest

from tests.values import sample_types as samples
from volant.model.errors import ArgumentError, DefinitionError, ValueCodecError
from volant.values.codec import decode, encode

Number = TypeVar("Number", int, float)


@pytest.mark.parametrize(
    ("value", "annotation", "message"),
    [
        ("1", int, "value: found str '1', wanted int"),
        (1, str, "value: found int 1, wanted str"),
        (1.5, int, "value: found float 1.5, wanted int"),
        (None, int, "value: found None, wanted int"),
        (1, None, "value: found int 1, wanted None"),
        (1, bool, "value: found int 1, wanted bool"),
        (b"a", str, "value: found bytes b'a', wanted str"),
        ("a", Path, "value: found str 'a', wanted Path"),
        ("2024-01-01", date, "value: found str '2024-01-01', wanted date"),
        ((1,), list[int], "value: found tuple (1,), wanted list[int]"),
        ([1], tuple[int], "value: found list [1], wanted tuple[int]"),
        ((1, 2), tuple[int], "value: found a tuple of 2 items, wanted tuple[int]"),
        ({1}, frozenset[int], "value: found set {1}, wanted frozenset[int]"),
        ([1, "b"], list[int], "value[1]: found str 'b', wanted int"),
        ({"a": 1, "b": "c"}, dict[str, int], "value['b']: found str 'c', wanted int"),
        ({1: 1}, dict[str, int], "value key 1: found int 1, wanted str"),
        ({"a": [{"b": None}]}, dict[str, list[dict[str, int]]], "value['a'][0]['b']: found None, wanted int"),
        ((1, "b"), tuple[int, int], "value[1]: found str 'b', wanted int"),
        ((1, "b"), tuple[int, ...], "value[1]: found str 'b', wanted int"),
        ({"b"}, set[int], "value{...}: found str 'b', wanted int"),
        ([1, "b"], Sequence[int], "value[1]: found str 'b', wanted int"),
        ({"a": "b"}, Mapping[str, int], "value['a']: found str 'b', wanted int"),
        (1, Sequence[int], "value: found int 1, wanted Sequence[int]"),
        (1.5, int | str, "value: found float 1.5, wanted int | str"),
        (["b"], list[int] | None, "value[0]: found str 'b', wanted int"),
        ("c", Literal["a", "b"], "value: found str 'c', wanted Literal['a', 'b']"),
        ([], Literal["a"], "value: found list [], wanted Literal['a']"),
        ("RED", samples.Color, "value: found str 'RED', wanted Color"),
        (samples.Shade.RED, samples.Color, "wanted Color"),
        ({"x": 1, "y": 2}, samples.Point, "value: found dict {'x': 1, 'y': 2}, wanted Point"),
        (samples.Place(1, 2), samples.Point, "Place(x=1, y=2), wanted Point"),
        (samples.Point(1, "b"), samples.Point, "value.y: found str 'b', wanted int"),  # type: ignore[arg-type]
        ([samples.Node(1, [samples.Node("b")])], list[samples.Node], ".children[0].value: found str 'b', wanted int"),  # type: ignore[arg-type]
        (samples.Box("b"), samples.Box[int], "value.item: found str 'b', wanted int"),
        (samples.Pair(1, ["b"]), samples.Pair[int, int], "value.other[0]: found str 'b', wanted int"),
        (samples.IntBox("b"), samples.IntBox, "value.item: found str 'b', wanted int"),  # type: ignore[arg-type]
        (samples.Coordinate(1, "b"), samples.Coordinate, "value.y: found str 'b', wanted float"),  # type: ignore[arg-type]
        ((1, 2.0), samples.Coordinate, "value: found tuple (1, 2.0), wanted Coordinate"),
        ({"year": 1}, samples.Movie, "value: found a dict without 'title', wanted Movie"),
        ({"title": "a", "yeer": 1}, samples.Movie, "value: found a dict with 'yeer', which Movie does not have"),
        ({"title": "a", "year": "b"}, samples.Movie, "value['year']: found str 'b', wanted int"),
        ({"items": ["b"]}, samples.Page[int], "value['items'][0]: found str 'b', wanted int"),
        (samples.User.model_construct(id="b"), samples.User, "value.id: found str 'b', wanted int"),
        (samples.Crate[str](content="b"), samples.Crate[int], "wanted Crate[int]"),
        (1, Callable[[int], int], "value: found int 1, wanted Callable[[int], int]"),
        (int, type[str], "value: found type <class 'int'>, wanted type[str]"),
        (samples.Point, type[samples.Place | int], "wanted type[Place | int]"),
        (1, samples.Opaque, "value: found int 1, wanted Opaque"),
        (1, Never, "value: found int 1, wanted Never"),
        ("b", Number, "value: found str 'b', wanted float | int"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named_with_its_path_and_both_types(value: Any, annotation: Any, message: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        encode(value, annotation)
    assert message in str(caught.value)


def test_the_place_that_the_caller_names_comes_first() -> None:
    with pytest.raises(ArgumentError, match=r"^task 'a\.b', return value\[0\]: found str 'c', wanted int$"):
        encode(["c"], list[int], where="task 'a.b', return value")


def test_a_long_value_is_shown_shortened() -> None:
    with pytest.raises(ArgumentError) as caught:
        encode("x" * 10_000, int)
    assert len(str(caught.value)) < 120


def test_a_large_value_is_not_shown_whole() -> None:
    with pytest.raises(ArgumentError) as caught:
        encode({"rows": [list(range(100))] * 1000}, list[int])
    assert len(str(caught.value)) < 200


def test_a_value_whose_repr_fails_is_named_by_its_type() -> None:
    class Shy:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    with pytest.raises(ArgumentError, match=r"found .*Shy.*, wanted int"):
        encode(Shy(), int)


def test_a_value_that_contains_itself_is_refused_with_its_path() -> None:
    items: list[Any] = [1]
    items.append({"again": items})
    with pytest.raises(ValueCodecError, match=r"contains itself, at value\[1\]\['again'\]"):
        encode(items, Any)
    node = samples.Node(1)
    node.parent = node
    with pytest.raises(ValueCodecError, match=r"contains itself, at value\.parent"):
        encode(node, samples.Node)


def test_a_value_of_five_thousand_levels_is_refused_and_harms_nobody() -> None:
    deep: Any = []
    for _ in range(5000):
        deep = [deep]
    for value, annotation in ((deep, Any), (deep, list[Any]), ({"a": deep}, dict[str, Any])):
        with pytest.raises(ValueCodecError, match="nested too deeply"):
            encode(value, annotation)
    with pytest.raises(ValueCodecError, match="nested too deeply"):
        decode(bytes([1]) + b"\x10\x01" * 5000 + b"\x00", Any)


def test_two_hundred_levels_are_fine() -> None:
    node = samples.Node(0)
    for value in range(200):
        node = samples.Node(value, [], node)
    assert decode(encode(node, samples.Node).data, samples.Node) == node


def test_what_cannot_be_pickled_is_refused_with_its_path() -> None:
    with pytest.raises(ValueCodecError, match=r"value\['lock'\]: found _thread\.lock .*cannot be pickled"):
        encode({"lock": threading.Lock()}, dict[str, Any])
    with pytest.raises(ValueCodecError, match="generator"):
        encode((n for n in range(3)), Any)


@pytest.mark.parametrize("annotation", ["Missing", list["Missing"], 3, Literal])  # type: ignore[name-defined]  # noqa: F821
def test_an_annotation_that_is_no_type_is_an_error_of_the_definition(annotation: Any) -> None:
    with pytest.raises(DefinitionError):
        encode([], annotation)


@pytest.mark.parametrize(
    ("data", "annotation", "message"),
    [
        ("0180", str, "value: found int, wanted str"),
        ("01060161", int, "value: found str, wanted int"),
        ("0101", int, "value: found bool, wanted int"),
        ("0181", float, "value: found int, wanted float"),
        ("01100181", list[str], "value[0]: found int, wanted str"),
        ("01100181", tuple[int, ...], "value: found list, wanted tuple[int, ...]"),
        ("01110181", tuple[int, int], "value: found a tuple of 1 items, wanted tuple[int, int]"),
        ("013002017881017982", Any, "found an instance of the annotated class, but the annotation names none"),
        ("013001017881", samples.Point, "the field 'y' of Point is missing and has no default"),
        ("013003017881017982017a83", samples.Point, "found the field 'z', which Point does not have"),
        ("01320603544558", samples.Color, "found 'TEX', which is no member of Color"),
        ("011202060161810601618206016183", dict[str, int], "found a key twice"),
        ("0113028181", set[int], "found an element twice"),
        ("018081", int, "found 1 bytes after the end of the value"),
        ("0106ff61", str, "missing at the end"),
        ("010601ff", str, "damaged"),
        ("0131096e6f5f737563683a4100", Any, "the module of 'no_such:A' cannot be imported"),
        ("014008636f64656c6573733a", Any, "is not a name"),
        ("01290a4d6172732f50686f626f", Any, "not known"),
        ("017f", Any, "unknown tag 0x7f"),
        ("013401780181", int | str, "found the member 'x', wanted int | str"),
        ("010680808080808080808080800161", str, "a size of more than 64 bits"),
        ("0106810061", str, "not in its shortest form"),
        ("01220000000000000000000000000000000109", Any, "damaged"),
    ],
)
def test_bytes_that_are_not_of_the_type_are_refused_and_named(data: str, annotation: Any, message: str) -> None:
    with pytest.raises(ValueCodecError) as caught:
        decode(bytes.fromhex(data), annotation)
    assert message in str(caught.value)


def test_a_damaged_pickle_is_not_loaded() -> None:
    data = bytearray(encode(samples.Opaque("secret"), Any).data)
    data[data.index(b"secret")] ^= 1
    with pytest.raises(ValueCodecError, match="found a damaged pickle"):
        decode(bytes(data), Any)
