"""Who writes in a run, and following what they write."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import NamedTuple

from volant.client.connection import Connection
from volant.client.logs import Tail, captured, log_file
from volant.model.control_protocol import ActionDetails, GetAction, ListSummaries, SummaryList
from volant.model.errors import ActionNotFoundError
from volant.model.ids import ActionId, RunId
from volant.model.records import ChangeKind

_PACE = 0.1
"""Seconds between two looks at the files."""
_AFTERWARDS = 10
"""So many looks are taken at a file after its attempt has ended: its process may have something left to say."""
_LONG_AGO = timedelta(seconds=5)
"""An attempt that ended before that has nothing left to say."""
_PAGE = 1000


class Writer(NamedTuple):
    """An attempt that may have written something."""

    action: ActionId
    name: str
    """Short name of the task."""
    attempt: int
    """From 0."""
    is_retried: bool = False
    """Whether the action has had other attempts."""


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


class _Followed:
    def __init__(self, writer: Writer, tail: Tail) -> None:
        self.writer = writer
        self.tail = tail
        self.looks_left: int | None = None
        """None while its attempt lives."""


class Follower:
    """Gives what the attempts of a run write, as they write it, until it has ended."""

    def __init__(
        self,
        connection: Connection,
        home: Path,
        run: RunId,
        *,
        action: ActionId | None = None,
        attempt: int | None = None,
        tail: int | None = None,
    ) -> None:
        """*action* and *attempt* leave out all others; of what was written before only *tail* lines are given."""
        self._connection = connection
        self._home = home
        self._run = run
        self._action = action
        self._attempt = attempt
        self._tail = tail
        self._followed: dict[ActionId, list[_Followed]] = {}
        self._is_over = asyncio.Event()

    async def lines(self) -> AsyncIterator[tuple[Writer, list[str]]]:
        """Lines, with who wrote them; those of one look at one file together."""
        watching = asyncio.create_task(self._watch(), name=f"follow {self._run}")
        try:
            while not self._is_over.is_set():
                for each in [each for several in self._followed.values() for each in several]:
                    is_last = self._is_last_look(each)
                    if found := each.tail.read(to_end=is_last):
                        yield each.writer, found
                    if is_last:
                        self._forget(each)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._is_over.wait(), _PACE)
            for each in [each for several in self._followed.values() for each in several]:
                if found := each.tail.read(to_end=True):
                    yield each.writer, found
            await watching
        finally:
            watching.cancel()

    def _is_last_look(self, each: _Followed) -> bool:
        if each.looks_left is None:
            return False
        each.looks_left -= 1
        return each.looks_left <= 0

    def _forget(self, each: _Followed) -> None:
        left = [other for other in self._followed[each.writer.action] if other is not each]
        if left:
            self._followed[each.writer.action] = left
        else:
            del self._followed[each.writer.action]

    async def _watch(self) -> None:
        try:
            async for events in self._connection.watch(self._run):
                for change in events.changes:
                    if change.action is None or self._action not in (None, change.action):
                        continue
                    if change.kind is ChangeKind.ATTEMPT_STARTED and change.attempt is not None:
                        self._begin(change.action, change.name, change.attempt)
                    elif change.kind in (ChangeKind.ATTEMPT_ENDED, ChangeKind.ACTION_ENDED):
                        self._end(change.action, datetime.now(UTC) - change.at)
                    if change.kind is ChangeKind.ACTION_ENDED and change.action == self._action:
                        return
        finally:
            self._is_over.set()

    def _begin(self, action: ActionId, name: str, attempt: int) -> None:
        if self._attempt not in (None, attempt):
            return
        path = log_file(self._home, self._run, action, attempt)
        tail = Tail(path) if self._tail is None else Tail.last(path, self._tail)
        self._followed.setdefault(action, []).append(_Followed(Writer(action, name, attempt), tail))

    def _end(self, action: ActionId, ago: timedelta) -> None:
        for each in self._followed.get(action, ()):
            if each.looks_left is None:
                each.looks_left = 1 if ago > _LONG_AGO else _AFTERWARDS
