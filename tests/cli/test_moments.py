"""Durations and dates as people write them, and nothing that could mean two things."""

import contextlib
from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from volant.cli.moments import Unreadable, parse_date, parse_duration, parse_instant, parse_time

TODAY = date(2026, 3, 1)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("1h30m", 5400),
        ("1h 30m", 5400),
        ("1 hour, 30 minutes", 5400),
        ("1.5h", 5400),
        ("2 days", 172_800),
        ("1w", 604_800),
        ("500ms", 0.5),
        ("1:30:00", 5400),
        ("PT1H30M", 5400),
        ("P1DT0.5S", 86_400.5),
        ("0", 0),
        ("-5s", -5),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text", ["90", "1.5", "1:30", "30m1h", "1h1h", "1M", "1mo", "h", "P", "PT", "", "1h,", "1e3s", "-1 day, 1:00:00"]
)
def test_durations_that_mean_nothing_or_two_things_are_refused(text: str) -> None:
    with pytest.raises(Unreadable, match="expected a duration such as 90s, 1h30m"):
        parse_duration(text)


@given(st.timedeltas(min_value=timedelta(0)))
def test_a_duration_that_python_writes_is_read_back(value: timedelta) -> None:
    assert parse_duration(str(value)) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2013-07-04", date(2013, 7, 4)),
        ("4 July 2013", date(2013, 7, 4)),
        ("July 4, 2013", date(2013, 7, 4)),
        ("4 jul 2013", date(2013, 7, 4)),
        ("today", TODAY),
        ("Yesterday", date(2026, 2, 28)),
        ("tomorrow", date(2026, 3, 2)),
    ],
)
def test_dates(text: str, value: date) -> None:
    assert parse_date(text, TODAY) == value


@pytest.mark.parametrize("text", ["04/07/2013", "4.7.2013", "4 ju 2013", "31 February 2013", "next week", ""])
def test_dates_that_mean_nothing_or_two_things_are_refused(text: str) -> None:
    with pytest.raises(Unreadable, match="expected a date such as 2013-07-04"):
        parse_date(text, TODAY)


def test_instants_and_times() -> None:
    assert parse_instant("2013-07-04 10:00") == datetime(2013, 7, 4, 10)
    assert parse_instant("2013-07-04t10:00z") == datetime(2013, 7, 4, 10, tzinfo=UTC)
    assert parse_time("10:00") == time(10)
    for parse in (parse_instant, parse_time):
        with pytest.raises(Unreadable, match="such as"):
            parse("10")


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(Unreadable):
        assert isinstance(parse_duration(text), timedelta)
    with contextlib.suppress(Unreadable):
        assert isinstance(parse_date(text, TODAY), date)
