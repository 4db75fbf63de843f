"""`--since`: instants as people write them."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from volant.cli.instants import parse_instant

NOW = datetime(2026, 3, 31, 15, 0, tzinfo=ZoneInfo("Europe/Berlin"))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2h", NOW - timedelta(hours=2)),
        ("3 days", NOW - timedelta(days=3)),
        ("1 day", NOW - timedelta(days=1)),
        ("90 min", NOW - timedelta(minutes=90)),
        ("1.5 hours ago", NOW - timedelta(hours=1.5)),
        ("30S", NOW - timedelta(seconds=30)),
        (" 2   weeks ", NOW - timedelta(weeks=2)),
        ("today", datetime(2026, 3, 31, tzinfo=NOW.tzinfo)),
        ("yesterday", datetime(2026, 3, 30, tzinfo=NOW.tzinfo)),
        ("14:30", datetime(2026, 3, 31, 14, 30, tzinfo=NOW.tzinfo)),
        ("14:30:05", datetime(2026, 3, 31, 14, 30, 5, tzinfo=NOW.tzinfo)),
        ("2026-03-30", datetime(2026, 3, 30, tzinfo=NOW.tzinfo)),
        ("2026-03-30 12:00", datetime(2026, 3, 30, 12, tzinfo=NOW.tzinfo)),
        ("2026-03-30T12:00", datetime(2026, 3, 30, 12, tzinfo=NOW.tzinfo)),
        ("2026-03-30T12:00Z", datetime(2026, 3, 30, 14, tzinfo=NOW.tzinfo)),
        ("2026-03-30T12:00+02:00", datetime(2026, 3, 30, 12, tzinfo=NOW.tzinfo)),
    ],
)
def test_what_people_write_is_understood(text: str, wanted: datetime) -> None:
    found = parse_instant(text, now=NOW)
    assert found == wanted
    assert found.tzinfo is not None


@pytest.mark.parametrize("text", ["", "soon", "2", "-2h", "2 fortnights", "25:00", "2026-13-01", "9" * 20 + " weeks"])
def test_what_means_no_time_is_an_error(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the option says what is wanted
        parse_instant(text, now=NOW)
