"""How the text of a setting becomes a value."""

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import msgspec

from volant.kit.homes import absolute_home, is_text
from volant.kit.nearest import did_you_mean
from volant.kit.quantities import parse_bytes, parse_cpu
from volant.settings.tree import Mode, QueueSettings

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})
_MOST = 2**31 - 1
"""Of anything that is counted."""
_LARGEST = 2**63 - 1
"""Bytes; more has no place in the journal."""
_WHOLE = re.compile(r"[+-]?[0-9]{1,1000}", re.ASCII)
_SECONDS = {"ms": 0.001, "s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0}


class Unparsable(ValueError):
    """The value is not what the setting wants; the message completes "wanted ...": what it wants."""


def parse_home(raw: object) -> Path:
    """An absolute folder."""
    if not isinstance(raw, (str, Path)) or not str(raw):
        msg = "a folder"
        raise Unparsable(msg)
    try:
        home = absolute_home(raw)
    except FileNotFoundError:
        msg = "a folder with an absolute path: the current folder does not exist any more"
        raise Unparsable(msg) from None
    if not is_text(str(home)):
        msg = "a folder whose path is UTF-8 text"
        raise Unparsable(msg)
    return home


def parse_url(raw: object) -> str:
    """A URL with a scheme."""
    if isinstance(raw, str) and urlsplit(raw).scheme:
        return raw
    msg = "a URL such as sqlite:///path, postgresql://host/name or file:///folder"
    raise Unparsable(msg)


def parse_mode(raw: object) -> Mode:
    """A mode's name."""
    names = [mode.value for mode in Mode]
    if isinstance(raw, str) and raw in names:
        return Mode(raw)
    suggestion = did_you_mean(raw, names) if isinstance(raw, str) else ""
    msg = f"one of {', '.join(names)}{suggestion}"
    raise Unparsable(msg)


def parse_bool(raw: object) -> bool:
    """true or false, in the spellings people use."""
    if isinstance(raw, bool):
        return raw
    if isinstance(raw, str) and raw.lower() in _TRUE | _FALSE:
        return raw.lower() in _TRUE
    msg = "true or false"
    raise Unparsable(msg)


def parse_duration(raw: object) -> timedelta:
    """Seconds, or a number with a unit."""
    if isinstance(raw, timedelta) and raw >= timedelta(0):
        return raw
    seconds: float | None = None
    if isinstance(raw, (int, float)) and not isinstance(raw, bool) and -_MOST <= raw <= _MOST:
        seconds = float(raw)
    elif isinstance(raw, str):
        text = raw.strip()
        number = text.rstrip("minsh")
        factor = _SECONDS.get(text[len(number) :] or "s")
        try:
            seconds = float(number) * factor if factor is not None else None
        except ValueError:
            seconds = None
    # The comparison also refuses nan; ten years are more than anybody waits and still a timedelta.
    if seconds is not None and 0 <= seconds <= 315_360_000:
        return timedelta(seconds=seconds)
    msg = "seconds such as 5 or 0.5, or a duration such as '30s' or '5min', not negative"
    raise Unparsable(msg)


def parse_cores(raw: object) -> int:
    """Thousandths of a core, at least one."""
    try:
        cores = parse_cpu(cast("str", raw))
    except ValueError as error:
        msg = "a number of cores such as 2, 0.5 or '500m'"
        raise Unparsable(msg) from error
    if not 1 <= cores <= _MOST:
        msg = "more than no core" if cores < 1 else f"at most {_MOST // 1000} cores"
        raise Unparsable(msg)
    return cores


def parse_size(raw: object) -> int:
    """Bytes, at least one."""
    try:
        size = parse_bytes(cast("str", raw))
    except ValueError as error:
        msg = "a size such as '512Mi' or '8Gi'"
        raise Unparsable(msg) from error
    if not 1 <= size <= _LARGEST:
        msg = "more than no memory" if size < 1 else "less than 8Ei"
        raise Unparsable(msg)
    return size


def whole_number(least: int) -> Callable[[object], int]:
    """A parser of whole numbers from *least* on."""

    def parse(raw: object) -> int:
        number: int | None = None
        if isinstance(raw, int) and not isinstance(raw, bool):
            number = raw
        elif isinstance(raw, str) and _WHOLE.fullmatch(raw.strip()):
            number = int(raw)
        if number is None or number < least:
            msg = f"a whole number, at least {least}"
            raise Unparsable(msg)
        if number > _MOST:
            msg = f"a whole number, at most {_MOST}"
            raise Unparsable(msg)
        return number

    return parse


def parse_queue(raw: object) -> QueueSettings:
    """The table of one queue."""
    if isinstance(raw, QueueSettings):
        return raw
    if not isinstance(raw, Mapping):
        msg = "a table with max_running, priority or both"
        raise Unparsable(msg)
    names = [field.name for field in msgspec.structs.fields(QueueSettings)]
    table = cast("Mapping[str, Any]", raw)
    for name in table:
        if name not in names:
            msg = f"a table with max_running, priority or both; {name!r} is neither{did_you_mean(name, names)}"
            raise Unparsable(msg)
    try:
        max_running = whole_number(1)(table["max_running"]) if "max_running" in table else None
        priority = whole_number(-1_000_000)(table["priority"]) if "priority" in table else 0
    except Unparsable as error:
        msg = f"for both max_running and priority {error}"
        raise Unparsable(msg) from None
    return QueueSettings(max_running=max_running, priority=priority)
