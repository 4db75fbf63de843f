"""Who writes in a run, and how a line is shown with its writer's name before it."""

import re
import zlib
from functools import partial
from pathlib import Path
from typing import NamedTuple

from volant.client.connection import Connection
from volant.client.logs import captured, log_file
from volant.model.control_protocol import ActionDetails, GetAction, ListSummaries, SummaryList
from volant.model.errors import ActionNotFoundError
from volant.model.ids import ActionId, RunId

_PAGE = 1000
_COLOURS = (36, 35, 32, 33, 34, 96, 95, 92)
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_CONTROL = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[@-Z\\^_]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|[\x00-\x08\x0b-\x1f\x7f]"
)


class Writer(NamedTuple):
    """An attempt that may have written something."""

    action: ActionId
    name: str
    """Short name of the task."""
    attempt: int
    """From 0."""
    is_retried: bool = False
    """Whether the action has had other attempts."""


def head_of(writer: Writer, *, is_one: bool = False, colour: bool = False) -> str:
    """What stands before a line: the task, the beginning of the action's id, and the attempt where there are several.

    *is_one*: all lines are of attempts of one action, which needs no name.
    """
    if is_one:
        return _painted(f"attempt {writer.attempt + 1} |", writer.attempt, colour=colour)
    again = f"#{writer.attempt + 1}" if writer.attempt or writer.is_retried else ""
    text = f"{writer.name} {writer.action[:8]}{again} |"
    return _painted(text, zlib.crc32(writer.action.encode()), colour=colour)


def _painted(text: str, number: int, *, colour: bool) -> str:
    return f"\x1b[{_COLOURS[number % len(_COLOURS)]}m{text}\x1b[0m" if colour else text


def readable(line: str, *, colour: bool) -> str:
    """A line without what would move the cursor; of one that was written over, what it was in the end.

    *colour*: its colours stay, and end with it.
    """
    line = line.rstrip("\r").rpartition("\r")[2]
    parts = _COLOUR.split(line) if colour else [line]
    if len(parts) == 1:
        return _CONTROL.sub("", line)
    colours = [*_COLOUR.findall(line), "\x1b[0m"]
    return "".join(_CONTROL.sub("", part) + each for part, each in zip(parts, colours, strict=True))


async def writers_of(
    connection: Connection, home: Path, run: RunId, *, action: ActionId | None, attempt: int | None
) -> list[Writer]:
    """The attempts of a run, or of one action, that wrote something which is there, by the action's creation."""
    found = {each: numbers for each, numbers in captured(home, run).items() if action in (None, each)}
    writers: list[Writer] = []
    for each, name in await _names(connection, run, action, wanted=set(found)):
        numbers = found[each]
        for number in numbers:
            if attempt in (None, number) and _has_something(log_file(home, run, each, number)):
                writers.append(Writer(each, name, number, is_retried=len(numbers) > 1))
    return writers


def _has_something(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except OSError:
        return False


async def _names(
    connection: Connection, run: RunId, action: ActionId | None, *, wanted: set[ActionId]
) -> list[tuple[ActionId, str]]:
    if action is not None:
        try:
            details = await connection.ask(
                lambda number: GetAction(request=number, run=run, action=action), ActionDetails
            )
        except ActionNotFoundError:
            return []
        return [(action, details.action.short_name)] if action in wanted else []
    found: list[tuple[ActionId, str]] = []
    after = 0
    while len(found) < len(wanted):
        page = await connection.ask(partial(_page, run, after), SummaryList)
        found += [(each.action, each.short_name) for each in page.actions if each.action in wanted]
        if page.position == after:
            break
        after = page.position
    return found


def _page(run: RunId, after: int, number: int) -> ListSummaries:
    return ListSummaries(request=number, run=run, after=after, limit=_PAGE)
