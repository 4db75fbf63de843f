"""Telling clients what was committed, in order and without gaps, however slow they read.

A watcher that keeps up gets changes from memory as they are committed. One that fell behind, or joins
late, reads the journal until it has caught up. Either way it is sent at most a few messages a second.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence

from volant.engine.live_run import LiveRun
from volant.model.errors import EngineError
from volant.model.ids import RunId
from volant.model.records import Change, ChangeKind, RunRecord
from volant.model.worker_protocol import Outcome
from volant.ports.journal import Journal

_PAGE = 2000
_PACE = 0.05
"""Seconds between two messages to one watcher, unless the run has ended."""

Send = Callable[[tuple[Change, ...], RunRecord | None, Outcome | None], None]


class Watcher:
    """One client that watches one run."""

    def __init__(
        self,
        *,
        run: RunId,
        after: int,
        journal: Journal,
        live: Callable[[RunId], LiveRun | None],
        ended: Callable[[RunId], Awaitable[tuple[RunRecord, Outcome | None]]],
        send: Send,
        room: Callable[[], Awaitable[object]],
        done: Callable[["Watcher", BaseException | None], None],
    ) -> None:
        """*room* returns when the client can take more; *done* is called when the end was told, or cannot be."""
        self.run = run
        self._cursor = after
        self._journal = journal
        self._live = live
        self._ended = ended
        self._send = send
        self._room = room
        self._done = done
        self._recent: list[Change] = []
        self._news = asyncio.Event()
        self._has_ended = asyncio.Event()
        self._task = asyncio.create_task(self._tell(), name=f"watch {run}")
        self._task.add_done_callback(self._finished)

    def committed(self, changes: Sequence[Change]) -> None:
        """These changes of the run are durable."""
        upto = self._cursor + len(self._recent)
        if changes and changes[0].seq == upto + 1 and len(self._recent) < _PAGE:
            self._recent.extend(changes)
        self._news.set()
        if changes and changes[-1].kind is ChangeKind.RUN_ENDED:
            self._has_ended.set()

    def stop(self) -> None:
        """Tell nothing more."""
        self._task.cancel()

    def give_up(self, error: BaseException) -> None:
        """The end cannot be told: nobody executes the run here any more."""
        self._task.cancel()
        self._done(self, error)

    def _finished(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled():
            self._done(self, task.exception())

    async def _tell(self) -> None:
        while True:
            self._news.clear()
            live = self._live(self.run)
            is_live = live is not None
            committed = None if live is None else live.committed_seq
            while committed is None or self._cursor < committed:
                changes = await self._next()
                if not changes:
                    break
                self._cursor = changes[-1].seq
                await self._room()
                self._send(changes, None, None)
            if not is_live:
                record, outcome = await self._ended(self.run)
                if not record.phase.is_final:
                    msg = f"run '{self.run}' is {record.phase}, and this engine does not execute it any more"
                    raise EngineError(msg, hint="watch it again: whoever executes it now tells its end")
                await self._room()
                self._send((), record, outcome)
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_PACE):
                    await self._has_ended.wait()
            await self._news.wait()

    async def _next(self) -> tuple[Change, ...]:
        if self._recent and self._recent[0].seq == self._cursor + 1:
            recent = tuple(self._recent)
            self._recent.clear()
            return recent
        self._recent.clear()
        return tuple(await self._journal.changes(self.run, after=self._cursor, limit=_PAGE))
