"""What becomes of a run whose rules failed: it ends, and nothing else does.

The rules of a run touch only what is in memory of that run, so an error in them (a mistake of ours, or a value that
nobody thought of) leaves everything else as it was. What the run had yet to write is dropped with what had yet to be
told: the journal stays at the run's last commit, as it would had the engine died just then. Its processes are ended,
and then the run is written down as failed from what the journal has.

Errors in what runs share (placement, commits, the journal) are not contained: the engine leaves, and its runs can be
resumed.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from volant.engine.interrupted import fail_interrupted
from volant.engine.live_run import LiveRun
from volant.kit.clock import Clock
from volant.model.errors import BatchRefusedError, JournalError
from volant.model.failures import Failure, FailureKind
from volant.model.ids import RunId
from volant.model.records import Change
from volant.ports.journal import Journal

log = logging.getLogger("volant.engine")


class Containment:
    """Writes the ends of broken runs."""

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        *,
        flush: Callable[[], Awaitable[object]],
        on_ended: Callable[[LiveRun, Sequence[Change]], None],
        on_refused: Callable[[RunId, JournalError], None],
        on_failed: Callable[[BaseException], None],
    ) -> None:
        """*flush* returns when all that was given is committed; *on_ended* hears that the end of a run is, *on_refused*
        that the run is another's, *on_failed* that nothing can be written."""
        self._journal = journal
        self._clock = clock
        self._flush = flush
        self._on_ended = on_ended
        self._on_refused = on_refused
        self._on_failed = on_failed
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._failures: dict[RunId, Failure] = {}
        self._is_closed = False

    def broke(self, live: LiveRun, error: Exception) -> None:
        """The rules of a run failed; `gone` follows when none of its processes is left."""
        log.error("the rules of run %s failed; it is ended", live.run, exc_info=error)
        self._failures[live.run] = Failure(
            kind=FailureKind.SYSTEM,
            code="EngineError",
            message=f"the engine could not go on with the run, which is a mistake in Volant: {error!r}\n"
            "'volant engine log' has the traceback",
            retryable=False,
        )

    def leave(self, live: LiveRun) -> None:
        """Write nothing of a broken run."""
        self._failures.pop(live.run, None)

    def gone(self, live: LiveRun) -> None:
        """Nothing of a broken run is alive."""
        failure = self._failures.pop(live.run, None)
        if failure is not None and not self._is_closed and not live.is_given_up:
            task = self._loop.create_task(self._end(live, failure), name=f"end {live.run}")
            self._tasks.add(task)
            task.add_done_callback(self._done)

    async def close(self) -> None:
        """Return when what has begun is written; begin no more. The others can be resumed."""
        self._is_closed = True
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _end(self, live: LiveRun, failure: Failure) -> None:
        # Its last commit may be under way, with its end in it.
        await self._flush()
        record = await self._journal.run(live.run)
        changes: Sequence[Change] = ()
        if record is not None and not record.phase.is_final:
            try:
                changes = await fail_interrupted(self._journal, record, failure, self._clock.now())
            except BatchRefusedError as error:
                self._on_refused(live.run, error)
                return
        self._on_ended(live, changes)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_failed(error)
