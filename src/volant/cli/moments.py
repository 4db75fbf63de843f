"""Durations and dates as people write them. What could be read in two ways is refused."""

import re
from datetime import date, datetime, time, timedelta
from typing import Final

DURATIONS: Final = "a duration such as 90s, 1h30m, '2 days', 500ms, 1:30:00 or PT1H30M"
DATES: Final = "a date such as 2013-07-04, '4 July 2013', today, yesterday or tomorrow"
INSTANTS: Final = "a date and time such as '2013-07-04 10:00', 2013-07-04T10:00+02:00 or 2013-07-04"
TIMES: Final = "a time of day such as 10:00, 10:00:30 or 10:00+02:00"

_UNITS: Final = {
    "us": ("us", "µs", "microsecond", "microseconds"),
    "ms": ("ms", "millisecond", "milliseconds"),
    "s": ("s", "sec", "secs", "second", "seconds"),
    "min": ("m", "min", "mins", "minute", "minutes"),
    "h": ("h", "hr", "hrs", "hour", "hours"),
    "d": ("d", "day", "days"),
    "w": ("w", "wk", "wks", "week", "weeks"),
}
_LENGTHS: Final = {
    "us": timedelta(microseconds=1),
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "min": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
_ORDER: Final = tuple(_LENGTHS)
_UNIT_OF: Final = {word: unit for unit, words in _UNITS.items() for word in words}
_PART: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-zµ]+)\s*,?", re.ASCII)
_CLOCK: Final = re.compile(r"(?:(\d+) days?,? )?(\d+):([0-5]\d):([0-5]\d(?:\.\d{1,6})?)", re.ASCII)
_ISO: Final = re.compile(
    r"P(?:(\d+)W)?(?:(\d+)D)?(?:T(?=\d)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d{1,6})?)S)?)?", re.ASCII
)
_MONTHS: Final = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_WORDED: Final = (
    re.compile(r"(?P<day>\d{1,2})\.? (?P<month>[a-z]+)\.?,? (?P<year>\d{4})", re.ASCII),
    re.compile(r"(?P<month>[a-z]+)\.? (?P<day>\d{1,2}),? (?P<year>\d{4})", re.ASCII),
)
_DAYS: Final = {"yesterday": -1, "today": 0, "tomorrow": 1}


class Unreadable(ValueError):
    """The text is none of what is accepted; the message says what is."""


def parse_duration(text: str) -> timedelta:
    """A duration; one that is negative begins with `-`.

    Raises:
        Unreadable: it is none, or a bare number, whose unit nobody can know.
    """
    plain = text.strip()
    negative = plain.startswith("-")
    plain = plain.removeprefix("-").strip()
    try:
        found = _read_duration(plain)
    except OverflowError:
        found = None
    # Python writes `-1 day, 23:00:00` for an hour ago, where people read two days.
    if found is None or (negative and "day" in plain and ":" in plain):
        also = f"; {plain} what? write {plain}s or {plain}min" if _is_number(plain) else ""
        msg = f"expected {DURATIONS}{also}"
        raise Unreadable(msg)
    return -found if negative else found


def parse_date(text: str, today: date) -> date:
    """A date; *today* is the one from which `tomorrow` counts.

    Raises:
        Unreadable: it is none, or one like 04/07/2013, which means two days.
    """
    plain = text.strip().lower()
    if plain in _DAYS:
        return today + timedelta(days=_DAYS[plain])
    try:
        return date.fromisoformat(plain.upper())
    except ValueError:
        found = _worded_date(plain)
    if found is None:
        msg = f"expected {DATES}"
        raise Unreadable(msg)
    return found


def parse_instant(text: str) -> datetime:
    """A date and time; without an offset it stays naive.

    Raises:
        Unreadable: it is none.
    """
    try:
        return datetime.fromisoformat(text.strip().upper())
    except ValueError:
        msg = f"expected {INSTANTS}"
        raise Unreadable(msg) from None


def parse_time(text: str) -> time:
    """A time of day.

    Raises:
        Unreadable: it is none, or an hour alone.
    """
    plain = text.strip()
    try:
        if ":" not in plain:
            raise ValueError(plain)
        return time.fromisoformat(plain)
    except ValueError:
        msg = f"expected {TIMES}"
        raise Unreadable(msg) from None


def _read_duration(plain: str) -> timedelta | None:
    if plain == "0":
        return timedelta(0)
    if (clock := _CLOCK.fullmatch(plain)) is not None:
        days, hours, minutes, seconds = clock.groups()
        return timedelta(days=int(days or 0), hours=int(hours), minutes=int(minutes)) + _seconds(seconds)
    if len(plain) > 1 and (iso := _ISO.fullmatch(plain)) is not None:
        weeks, days, hours, minutes, seconds = iso.groups()
        whole = timedelta(weeks=int(weeks or 0), days=int(days or 0), hours=int(hours or 0), minutes=int(minutes or 0))
        return whole + _seconds(seconds or "0")
    return _read_parts(plain)


def _read_parts(plain: str) -> timedelta | None:
    """Numbers with units, each unit once and the large ones first."""
    total = timedelta(0)
    place = 0
    last = len(_ORDER)
    while place < len(plain):
        part = _PART.match(plain, place)
        unit = None if part is None else _UNIT_OF.get(part[2])
        if part is None or unit is None or _ORDER.index(unit) >= last:
            return None
        total += float(part[1]) * _LENGTHS[unit] if "." in part[1] else int(part[1]) * _LENGTHS[unit]
        last = _ORDER.index(unit)
        place = part.end()
    return total if place and not plain.rstrip().endswith(",") else None


def _seconds(text: str) -> timedelta:
    whole, _, fraction = text.partition(".")
    return timedelta(seconds=int(whole), microseconds=int(fraction.ljust(6, "0") or "0"))


def _worded_date(plain: str) -> date | None:
    for form in _WORDED:
        found = form.fullmatch(plain)
        if found is None or len(found["month"]) < 3:
            continue
        months = [number for number, name in enumerate(_MONTHS, 1) if name.startswith(found["month"])]
        try:
            return date(int(found["year"]), months[0], int(found["day"])) if months else None
        except ValueError:
            return None
    return None


def _is_number(plain: str) -> bool:
    return plain.replace(".", "", 1).isascii() and plain.replace(".", "", 1).isdigit()
