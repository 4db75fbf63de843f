"""Reading recorded outcomes for parents that are executed again, and telling them."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import timedelta
from typing import Any, ParamSpec, Protocol, TypeVar

from volant.decide.commands import Command
from volant.decide.live import Earlier
from volant.engine.live_run import LiveRun
from volant.kit.clock import Clock
from volant.model.ids import ActionId, AttemptKey, CallId
from volant.model.worker_protocol import ChildEnded
from volant.ports.journal import Journal

P = ParamSpec("P")
R = TypeVar("R")

log = logging.getLogger("volant.engine")

_PATIENCE = timedelta(milliseconds=100)
"""How long a parent that calls nothing more, and does not say that it waits, is given before recorded outcomes are
told anyway."""
_PAGE = 1000
_READS_PER_TURN = 50
"""Recorded outcomes that are read and told before others have their turn of the loop."""


class Decided(Protocol):
    """Asks the rules of a run; None when they fail, now or before."""

    def __call__(self, live: LiveRun, rule: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R | None: ...


class Replays:
    """One task per parent that is told recorded outcomes, in the order in which the rules said them."""

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        *,
        flush: Callable[[], Awaitable[None]],
        perform: Callable[[LiveRun, Sequence[Command]], None],
        tell: Callable[[LiveRun, AttemptKey, ChildEnded], None],
        decided: Decided,
        on_failed: Callable[[BaseException], None],
    ) -> None:
        """*flush* returns when all that happened is committed; *decided* lets a run's rules decide; *on_failed* hears
        that the journal cannot be read."""
        self._journal = journal
        self._clock = clock
        self._flush = flush
        self._perform = perform
        self._tell = tell
        self._decided = decided
        self._on_failed = on_failed
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._to_tell: dict[AttemptKey, list[tuple[ActionId, CallId]]] = {}
        self._patience: dict[AttemptKey, asyncio.TimerHandle] = {}

    def prepare(self, live: LiveRun, action: ActionId, key: AttemptKey, then: Callable[[], None]) -> None:
        """Read what is recorded of the children of an attempt that is not its action's first, and call *then*."""
        self._spawn(self._read_children(live, action, key, then))

    def tell(self, live: LiveRun, key: AttemptKey, calls: Sequence[tuple[ActionId, CallId]]) -> None:
        """Read the outcomes of these calls and tell them, after those that were asked for before."""
        to_tell = self._to_tell.get(key)
        if to_tell is not None:
            to_tell += calls
            return
        self._to_tell[key] = list(calls)
        self._spawn(self._read_and_tell(live, key))

    def called(self, live: LiveRun, key: AttemptKey) -> None:
        """The attempt may be owed outcomes. One whose thread never waits must get them all the same."""
        if not self._decided(live, live.machine.owes, key):
            return
        self.gone(key)
        self._patience[key] = self._loop.call_later(_PATIENCE.total_seconds(), self._lose_patience, live, key)

    def gone(self, key: AttemptKey) -> None:
        """Nothing can be told to the attempt any more."""
        timer = self._patience.pop(key, None)
        if timer is not None:
            timer.cancel()

    async def close(self) -> None:
        """Tell nothing more."""
        for key in list(self._patience):
            self.gone(key)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _lose_patience(self, live: LiveRun, key: AttemptKey) -> None:
        del self._patience[key]
        self._perform(live, self._decided(live, live.machine.lost_patience, key, self._clock.now()) or ())
        self.called(live, key)

    async def _read_children(self, live: LiveRun, action: ActionId, key: AttemptKey, then: Callable[[], None]) -> None:
        await self._flush()
        children: list[Earlier] = []
        after = 0
        while page := await self._journal.actions(live.run, parent=action, after=after, limit=_PAGE):
            children += [Earlier.of(child) for _, child in page if child.phase.is_final]
            after = page[-1][0]
        self._decided(live, live.machine.recorded_children, key, children)
        then()

    async def _read_and_tell(self, live: LiveRun, key: AttemptKey) -> None:
        to_tell = self._to_tell[key]
        try:
            while to_tell:
                calls = to_tell[:_READS_PER_TURN]
                del to_tell[:_READS_PER_TURN]
                # A child may have ended so recently that its outcome is not committed.
                await self._flush()
                for action, call in calls:
                    await self._tell_one(live, key, action, call)
        finally:
            del self._to_tell[key]

    async def _tell_one(self, live: LiveRun, key: AttemptKey, action: ActionId, call: CallId) -> None:
        record = await self._journal.action(live.run, action)
        if record is None or not record.phase.is_final:
            log.error("the outcome of action %s of run %s is not in the journal any more", action, live.run)
            live.launcher.end(key, grace=0)
            return
        message = self._decided(live, live.machine.answer, key, call, record)
        if message is not None:
            self._tell(live, key, message)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_failed(error)
