"""Showing what the attempts of a run write while they write it: to whoever runs it, and to whoever looks on."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from volant.client.connection import Connection
from volant.client.reporting import Reporter
from volant.client.tailing import Lines, RunTail
from volant.client.writers import Writer, head_of, readable
from volant.model.ids import ActionId, RunId
from volant.model.records import Change, ChangeKind, RunRecord
from volant.model.worker_protocol import Outcome

_PACE = 0.1
"""Seconds between two looks at the files."""


async def follow(
    connection: Connection, run: RunId, tail: RunTail, *, action: ActionId | None = None
) -> AsyncIterator[tuple[Writer, list[str]]]:
    """Lines with who wrote them, as they are written, until the run or that *action* of it has ended."""
    is_over = asyncio.Event()

    async def watch() -> None:
        try:
            async for events in connection.watch(run):
                tail.take(events.changes)
                if any(each.kind is ChangeKind.ACTION_ENDED and each.action == action for each in events.changes):
                    return
        finally:
            is_over.set()

    watching = asyncio.create_task(watch(), name=f"follow {run}")
    try:
        while not is_over.is_set():
            for found in tail.read():
                yield found
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(is_over.wait(), _PACE)
        for found in tail.read_all():
            yield found
        await watching
    finally:
        watching.cancel()


class Following:
    """A reporter that also shows what the attempts of the run write."""

    def __init__(self, reporter: Reporter, home: Path, *, colour: bool) -> None:
        """*colour* says that the lines go to a terminal."""
        self._reporter = reporter
        self._home = home
        self._colour = colour
        self._tail: RunTail | None = None
        self._timer: asyncio.TimerHandle | None = None

    def accepted(self, run: RunRecord) -> None:
        """Begin to look."""
        self._tail = RunTail(self._home, run.run)
        self._reporter.accepted(run)
        self._timer = asyncio.get_running_loop().call_later(_PACE, self._look)

    def changed(self, changes: Sequence[Change]) -> None:
        """Learn of attempts."""
        if self._tail is not None:
            self._tail.take(changes)
        self._reporter.changed(changes)

    def ended(self, run: RunRecord, outcome: Outcome | None) -> None:
        """Show what is left before it is said how the run ended."""
        if self._tail is not None:
            self._write(self._tail.read_all())
        self._reporter.ended(run, outcome)

    def notice(self, message: str) -> None:
        """As the reporter says it."""
        self._reporter.notice(message)

    def written(self, lines: Sequence[str]) -> None:
        """As the reporter shows it."""
        self._reporter.written(lines)

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._reporter.close()

    def _look(self) -> None:
        if self._tail is not None:
            self._write(self._tail.read())
        self._timer = asyncio.get_running_loop().call_later(_PACE, self._look)

    def _write(self, found: Lines) -> None:
        shown = [
            f"{head_of(writer, colour=self._colour)} {readable(line, colour=self._colour)}"
            for writer, lines in found
            for line in lines
        ]
        if shown:
            self._reporter.written(shown)
