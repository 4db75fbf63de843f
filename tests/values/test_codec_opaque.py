"""Functions, classes, registered types, and what only a pickle can carry."""

import collections
import functools
import operator
import threading
from collections.abc import Callable
from datetime import date
from typing import Any

import numpy
import pytest

from tests.values import sample_types as samples
from tests.values.typed_values import identity
from volant.model.errors import DefinitionError, DefinitionTypeError, DuplicateNameError, ValueCodecError
from volant.values.codec import decode, encode, register


def there_and_back(value: Any, annotation: Any) -> Any:
    return decode(encode(value, annotation).data, annotation)


def test_an_importable_function_travels_by_name_and_has_a_digest() -> None:
    for function in (samples.double, len, operator.itemgetter, date.today, samples.Point):
        encoded = encode(function, Callable[..., Any])
        assert decode(encoded.data, Callable[..., Any]) == function
    encoded = encode(samples.double, Callable[[int], int])
    assert encoded.digest is not None
    assert encoded.pickled == ()
    assert b"tests.values.sample_types:double" in encoded.data


def test_closures_and_lambdas_travel_by_value_and_have_no_digest() -> None:
    offset = 3

    def shift(x: int) -> int:
        return x + offset

    for function in (shift, lambda x: x + 3, functools.partial(operator.add, 3)):
        encoded = encode(function, Callable[[int], int])
        assert encoded.digest is None
        assert encoded.pickled == ("value",)
        assert decode(encoded.data, Callable[[int], int])(4) == 7


def test_a_function_that_was_replaced_under_its_name_travels_by_value(monkeypatch: pytest.MonkeyPatch) -> None:
    original = samples.double
    monkeypatch.setattr(samples, "double", lambda x: 0)
    encoded = encode(original, Callable[[int], int])
    assert encoded.digest is None


def test_any_picklable_value_comes_back_from_a_pickle() -> None:
    for annotation in (samples.Opaque, Any, samples.Opaque | None):
        encoded = encode(samples.Opaque([1]), annotation)
        assert decode(encoded.data, annotation) == samples.Opaque([1])
        assert encoded.digest is None
        assert encoded.pickled == ("value",)


def test_the_path_of_the_first_pickled_part_of_each_type_is_told() -> None:
    value = {"a": [1, samples.Opaque(1), samples.Opaque(2)], "b": (samples.MyList(), samples.Opaque(3))}
    assert encode(value, dict[str, Any]).pickled == ("value['a'][1]", "value['b'][0]")
    assert encode(samples.Box(samples.Opaque(1)), samples.Box[samples.Opaque]).pickled == ("value.item",)
    assert encode({samples.Opaque(1)}, set[samples.Opaque], where="x").pickled == ("x{...}",)


def test_bytes_and_pickles_do_not_count_as_travelling_by_value() -> None:
    payload = b"x" * 100_000
    for value in (payload, bytearray(payload), [payload, payload], samples.Opaque(payload)):
        encoded = encode(value, Any)
        assert len(encoded.data) > 100_000
        assert encoded.inline_bytes < 100
    assert encode("x" * 100_000, str).inline_bytes > 100_000
    assert encode([1, 2, 3], list[int]).inline_bytes == len(encode([1, 2, 3], list[int]).data)


def test_numpy_scalars_keep_their_type_and_their_bits() -> None:
    scalars = [
        *(kind(1) for kind in (numpy.bool_, numpy.int8, numpy.uint64, numpy.float16, numpy.float32, numpy.complex64)),
        numpy.float64("nan"),
        numpy.datetime64("2024-01-01T00:00", "ns"),
        numpy.datetime64("NaT", "s"),
        numpy.timedelta64(5, "h"),
    ]
    for scalar in scalars:
        encoded = encode(scalar, Any)
        assert encoded.digest is not None
        again = decode(encoded.data, Any)
        assert type(again) is type(scalar)
        assert again.dtype == scalar.dtype
        assert again.tobytes() == scalar.tobytes()
    for scalar in (numpy.longdouble(1) / 3, numpy.str_("a"), numpy.bytes_(b"a")):
        again = there_and_back(scalar, Any)
        assert type(again) is type(scalar)
        assert again == scalar


def test_a_numpy_float_is_accepted_for_a_float_and_stays_one() -> None:
    again = there_and_back([numpy.float64(1.5)], list[float])
    assert type(again[0]) is numpy.float64
    assert there_and_back(numpy.int64(5), numpy.int64) == 5


def test_a_registered_type_is_encoded_by_its_owner_under_every_annotation() -> None:
    for annotation in (samples.Celsius, Any, list[samples.Celsius] | samples.Celsius):
        encoded = encode(samples.Celsius(-3), annotation)
        assert encoded.digest is not None
        assert encoded.pickled == ()
        assert decode(encoded.data, annotation).degrees == -3


def test_a_subclass_of_a_registered_type_is_not_turned_into_it() -> None:
    again = there_and_back(samples.Fahrenheit(1), samples.Celsius)
    assert type(again) is samples.Fahrenheit


def test_registration_can_leave_out_the_digest_and_the_inline_size_and_cover_subclasses() -> None:
    class Base:
        def __init__(self, text: str) -> None:
            self.text = text

    class Derived(Base):
        pass

    register(
        Base,
        encode=lambda value: f"{type(value).__name__}:{value.text}".encode(),
        decode=lambda data: {"Base": Base, "Derived": Derived}[data.decode().partition(":")[0]](
            data.decode().partition(":")[2]
        ),
        digestable=False,
        name="test-base",
        inline=False,
        subclasses=True,
    )
    encoded = encode([Derived("x" * 1000)], list[Base])
    assert encoded.digest is None
    assert encoded.pickled == ()
    assert encoded.inline_bytes < 100
    assert type(decode(encoded.data, list[Base])[0]) is Derived


def test_a_type_registered_after_its_first_use_is_encoded_by_its_owner_from_then_on() -> None:
    class Late:
        pass

    assert encode(Late(), Late).pickled == ("value",)
    register(Late, encode=lambda _: b"", decode=lambda _: Late(), name="test-late")
    assert encode(Late(), Late).pickled == ()
    assert encode(Late(), Any).pickled == ()


def test_registering_what_cannot_be_registered_is_an_error() -> None:
    with pytest.raises(DefinitionError, match="built-in type int"):
        register(int, encode=str.encode, decode=int)  # type: ignore[arg-type]
    with pytest.raises(DefinitionTypeError, match="wanted a class"):
        register("Celsius", encode=str.encode, decode=str)  # type: ignore[arg-type]
    with pytest.raises(DefinitionTypeError, match="encode is int 3, wanted a function"):
        register(samples.Fahrenheit, encode=3, decode=str)  # type: ignore[arg-type]
    with pytest.raises(DuplicateNameError, match="registered for Celsius already"):
        register(
            samples.Fahrenheit,
            encode=lambda value: b"",
            decode=lambda data: samples.Fahrenheit(1),
            name="tests.values.sample_types:Celsius",
        )


def test_failures_of_an_owner_name_the_type_and_the_path() -> None:
    class Broken:
        pass

    class Wrong:
        pass

    register(Broken, encode=lambda value: b"%d" % (1 // 0), decode=lambda data: Broken(), name="test-broken")
    with pytest.raises(ValueCodecError, match=r"value\[0\].*encoder of 'test-broken' failed: ZeroDivisionError"):
        encode([Broken()], list[Broken])
    register(Wrong, encode=lambda value: "text", decode=lambda data: Wrong(), name="test-wrong")  # type: ignore[arg-type, return-value]
    with pytest.raises(ValueCodecError, match="returned str 'text', wanted bytes"):
        encode(Wrong(), Wrong)
    with pytest.raises(ValueCodecError, match=r"decoder of 'tests\.values\.sample_types:Celsius' failed"):
        decode(encode(samples.Celsius(3), Any).data.replace(b"\x013", b"\x01x"), Any)
    with pytest.raises(ValueCodecError, match="'test-gone' is not registered"):
        decode(bytes([1, 0x42, 9]) + b"test-gone" + b"\x00", Any)


def test_containers_that_are_not_standard_are_kept_by_a_pickle() -> None:
    value = collections.ChainMap({"a": 1})
    encoded = encode(value, collections.abc.Mapping[str, int])
    assert encoded.pickled == ("value",)
    assert decode(encoded.data, collections.abc.Mapping[str, int]) == value
    assert identity(there_and_back("abc", collections.abc.Sequence[str])) == identity("abc")
    assert identity(there_and_back(range(3), collections.abc.Iterable[int])) == identity(range(3))


def test_many_threads_can_encode_a_new_type_at_once() -> None:
    types = [samples.Box[tuple[samples.Node, int]] for _ in range(1)]
    node = samples.Box((samples.Node(1, [samples.Node(2)]), 3))
    found: list[bytes] = []
    barrier = threading.Barrier(8)

    def work() -> None:
        barrier.wait()
        found.append(encode(node, types[0]).data)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
