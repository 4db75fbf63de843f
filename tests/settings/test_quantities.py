"""Cores and bytes as people write them."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from volant.kit.quantities import format_bytes, format_cpu, parse_bytes, parse_cpu


@pytest.mark.parametrize(
    ("text", "thousandths"), [(2, 2000), (0.5, 500), ("1.5", 1500), ("500m", 500), (" 3 ", 3000), ("0.1m", 1), (0, 0)]
)
def test_cores(text: str | float, thousandths: int) -> None:
    assert parse_cpu(text) == thousandths


@pytest.mark.parametrize(
    ("text", "size"),
    [
        (1024, 1024),
        ("512Mi", 2**29),
        ("1.5Gi", 3 * 2**29),
        ("1k", 1000),
        ("2G", 2 * 10**9),
        ("1e3", 1000),
        (".5Ki", 512),
    ],
)
def test_sizes(text: str | int, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize("bad", ["", "-1", "1 2", "Gi", "1Xi", "nan", "inf", "1e", True, None, [1], "0x10", "١"])
def test_nonsense_is_refused_by_both(bad: object) -> None:
    for parse in (parse_cpu, parse_bytes):
        with pytest.raises(ValueError, match="is not a"):
            parse(bad)  # type: ignore[arg-type]


def test_a_unit_of_the_other_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="there is no unit 'Gi'"):
        parse_cpu("1Gi")
    with pytest.raises(ValueError, match="there is no unit 'm'"):
        parse_bytes("500m")


@given(st.integers(0, 10**6), st.sampled_from(["", "Ki", "Mi", "Gi", "Ti"]))
def test_whole_amounts_are_exact(amount: int, unit: str) -> None:
    power = ["", "Ki", "Mi", "Gi", "Ti"].index(unit)
    assert parse_bytes(f"{amount}{unit}") == amount * 1024**power


@given(st.decimals(0, 10**6, places=6))
def test_amounts_are_rounded_up_by_less_than_one(amount: object) -> None:
    exact = Fraction(str(amount)) * 1000
    assert exact <= parse_cpu(str(amount)) < exact + 1


def test_amounts_are_shown_for_people() -> None:
    assert [format_bytes(size) for size in (0, 1023, 1536, 5 * 2**30)] == ["0 B", "1023 B", "1.5 KiB", "5.0 GiB"]
    assert [format_cpu(cpu) for cpu in (2000, 500, 1250)] == ["2", "0.5", "1.25"]
