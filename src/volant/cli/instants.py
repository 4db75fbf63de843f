"""Instants as people write them: so long ago, a time of today, a date, a date and a time."""

import re
from datetime import datetime, time, timedelta

import click

_AGO = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)(?:\s+ago)?", re.IGNORECASE)
_UNITS = {
    ("s", "sec", "secs", "second", "seconds"): timedelta(seconds=1),
    ("m", "min", "mins", "minute", "minutes"): timedelta(minutes=1),
    ("h", "hr", "hrs", "hour", "hours"): timedelta(hours=1),
    ("d", "day", "days"): timedelta(days=1),
    ("w", "week", "weeks"): timedelta(weeks=1),
}
_SECONDS = {name: unit for names, unit in _UNITS.items() for name in names}
_DAYS = {"today": 0, "yesterday": 1}


def parse_instant(text: str, *, now: datetime) -> datetime:
    """The aware instant that *text* means at the aware instant *now*, in whose time zone it is read.

    Raises:
        ValueError: it means none.
    """
    wanted = " ".join(text.split()).lower()
    ago = _AGO.fullmatch(wanted)
    if ago is not None and ago[2] in _SECONDS:
        try:
            return now - _SECONDS[ago[2]] * float(ago[1])
        except OverflowError:
            raise ValueError(text) from None
    if wanted in _DAYS:
        return datetime.combine(now.date() - timedelta(days=_DAYS[wanted]), time(), tzinfo=now.tzinfo)
    try:
        return datetime.combine(now.date(), time.fromisoformat(wanted), tzinfo=now.tzinfo)
    except ValueError:
        found = datetime.fromisoformat(" ".join(text.split()))
    return found if found.tzinfo is not None else found.replace(tzinfo=now.tzinfo)


def instant_option(_context: click.Context, _option: click.Parameter, text: str | None) -> datetime | None:
    """The callback of an option that is an instant."""
    if text is None:
        return None
    try:
        return parse_instant(text, now=datetime.now().astimezone())
    except ValueError:
        msg = (
            f"{text!r} is no time: expected one such as '2h', '3 days', '14:30', 'yesterday', '2026-03-31' or "
            "'2026-03-31T14:30'"
        )
        raise click.BadParameter(msg) from None
