"""Exact, injective, canonical: over types and values made together."""

import contextlib
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.values.typed_values import Typed, identity, typed_values
from volant.model.errors import ValueCodecError
from volant.values.codec import FORMAT_VERSION, decode, encode

patient = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)


@patient
@given(st.data(), typed_values())
def test_what_comes_back_has_the_value_and_every_type_of_what_went_in(data: st.DataObject, typed: Typed) -> None:
    value = data.draw(typed.values)
    encoded = encode(value, typed.annotation)
    assert identity(decode(encoded.data, typed.annotation)) == identity(value)
    assert encoded.data[0] == FORMAT_VERSION
    assert encoded.pickled == ()
    assert encoded.digest is not None


@patient
@given(st.data(), typed_values())
def test_values_share_bytes_exactly_when_they_are_the_same(data: st.DataObject, typed: Typed) -> None:
    one, other = data.draw(typed.values), data.draw(typed.values)
    same_bytes = encode(one, typed.annotation).data == encode(other, typed.annotation).data
    assert same_bytes == (identity(one) == identity(other))


@patient
@given(st.data(), typed_values(), typed_values())
def test_values_of_different_types_share_no_bytes_under_a_union_or_any(
    data: st.DataObject, one: Typed, other: Typed
) -> None:
    first, second = data.draw(one.values), data.draw(other.values)
    for annotation in (one.annotation | other.annotation if _joins(one, other) else Any, Any):
        same_bytes = encode(first, annotation).data == encode(second, annotation).data
        assert same_bytes == (identity(first) == identity(second))


@patient
@given(st.data(), typed_values())
def test_a_second_round_trip_gives_the_same_bytes(data: st.DataObject, typed: Typed) -> None:
    once = encode(data.draw(typed.values), typed.annotation)
    again = encode(decode(once.data, typed.annotation), typed.annotation)
    assert again == once


@patient
@given(st.data(), typed_values())
def test_bytes_that_are_cut_short_are_refused(data: st.DataObject, typed: Typed) -> None:
    whole = encode(data.draw(typed.values), typed.annotation).data
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(ValueCodecError):
        decode(whole[:cut], typed.annotation)


@patient
@given(st.data(), typed_values())
def test_damaged_bytes_give_a_value_or_an_error_of_the_codec_and_nothing_else(
    data: st.DataObject, typed: Typed
) -> None:
    damaged = bytearray(encode(data.draw(typed.values), typed.annotation).data)
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ValueCodecError):
        decode(bytes(damaged), typed.annotation)


@patient
@given(st.binary(max_size=60), typed_values())
def test_random_bytes_give_a_value_or_an_error_of_the_codec_and_nothing_else(noise: bytes, typed: Typed) -> None:
    with contextlib.suppress(ValueCodecError):
        decode(bytes([FORMAT_VERSION]) + noise, typed.annotation)


def _joins(one: Typed, other: Typed) -> bool:
    try:
        one.annotation | other.annotation
    except TypeError:
        return False
    return True
