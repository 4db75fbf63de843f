"""`volant.types.register`: a type of the user's, its bytes, its hash and its preview."""

from typing import Any

import pytest

import volant
from tests.values.sample_types import Kelvin
from volant import types
from volant.model.errors import DefinitionError, DefinitionTypeError, ValueCodecError
from volant.values.codec import PLANNER, REGISTRY, decode, encode
from volant.values.rendering import as_json, as_text
from volant.values.structural import read_value


@pytest.fixture(autouse=True)
def _kept_registry() -> Any:
    by_class, by_name = dict(REGISTRY.by_class), dict(REGISTRY.by_name)
    yield
    REGISTRY.by_class, REGISTRY.by_name = by_class, by_name
    PLANNER.forget()


class Token:
    def __init__(self, text: str) -> None:
        self.text = text


def teach(**options: Any) -> None:
    types.register(Token, encode=lambda value: value.text.encode(), decode=lambda data: Token(data.decode()), **options)


def test_the_door_is_there_after_a_bare_import() -> None:
    assert volant.types.register is types.register


@pytest.mark.parametrize("annotation", [Token, Any, list[Token] | Token])
def test_a_taught_type_comes_back_under_every_annotation(annotation: Any) -> None:
    teach()
    encoded = encode(Token("a"), annotation)
    assert encoded.pickled == ()
    assert encoded.digest is not None
    again = decode(encoded.data, annotation)
    assert (type(again), again.text) == (Token, "a")


@pytest.mark.parametrize("annotation", [Kelvin, Any, set[Kelvin], dict[str, list[Kelvin]]])
def test_values_are_recognised_by_their_hash_where_they_have_one(annotation: Any) -> None:
    def inside(value: Kelvin) -> Any:
        if annotation == set[Kelvin]:
            return {value}
        return {"a": [value]} if annotation == dict[str, list[Kelvin]] else value

    one, same, other = (encode(inside(Kelvin(*given)), annotation) for given in ((1, "x"), (1, "y"), (2, "x")))
    assert one.data != same.data
    assert one.digest == same.digest
    assert one.digest != other.digest


@pytest.mark.parametrize(("one", "other"), [(b"1", "1"), ("1", 1), (1, b"1")])
def test_hashes_of_different_types_are_different(one: Any, other: Any) -> None:
    given = {"one": one, "other": other}
    teach(hash=lambda value: given[value.text])
    assert encode(Token("one"), Any).digest != encode(Token("other"), Any).digest


def test_a_type_without_a_stable_hash_has_no_digest_and_is_no_pickle() -> None:
    teach(hash=False)
    encoded = encode([Token("a")], Any)
    assert encoded.digest is None
    assert encoded.pickled == ()


def test_a_preview_is_shown_without_the_class_and_is_no_part_of_the_hash() -> None:
    text = encode({"a": Kelvin(5)}, Any)
    shown = read_value(text.data)
    assert as_text(shown) == "{'a': 5 K}"
    assert as_json(shown["a"])["preview"] == "5 K"
    teach(preview=lambda value: "now")
    first = encode(Token("a"), Any).digest
    teach(preview=lambda value: "later")
    assert encode(Token("a"), Any).digest == first


def test_a_preview_that_fails_says_so_and_fails_nothing() -> None:
    teach(preview=lambda value: 1 / 0)
    assert as_text(read_value(encode(Token("a"), Any).data)) == "no preview: ZeroDivisionError: division by zero"


def test_a_hash_of_a_wrong_type_is_an_error_that_names_the_value() -> None:
    teach(hash=lambda value: 1.5)
    with pytest.raises(ValueCodecError, match=r"value\[0\]: found .*Token.*hash returned float 1.5, wanted bytes"):
        encode([Token("a")], Any)


def test_mistakes_are_refused_where_they_are_written() -> None:
    with pytest.raises(DefinitionTypeError, match="hash is str 'md5', wanted a function, True or False"):
        teach(hash="md5")
    with pytest.raises(DefinitionTypeError, match="preview is str 'x', wanted a function"):
        teach(preview="x")
    with pytest.raises(DefinitionTypeError, match="found int 3, wanted a class"):
        types.register(3, encode=bytes, decode=bytes)  # type: ignore[type-var, arg-type]
    with pytest.raises(DefinitionError, match="the built-in type int"):
        types.register(int, encode=lambda value: b"", decode=lambda data: 0)
