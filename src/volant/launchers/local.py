"""Attempts as processes of this machine, forked by zygotes."""

import asyncio
from collections.abc import Collection, Sequence
from pathlib import Path

import msgspec

from volant.kit.processes import cpu_time_and_state
from volant.launchers.lifelines import Lifeline
from volant.launchers.orphans import Orphans
from volant.launchers.waking import Waker
from volant.launchers.zygote import Zygote
from volant.model.exits import Exit
from volant.model.failures import Failure
from volant.model.ids import AttemptKey
from volant.model.worker_protocol import AttemptFinished, EngineToWorker, Failed, WorkerToEngine
from volant.ports.launcher import AttemptOrder, LauncherEvents

MAX_ZYGOTES = 8
"""Idle ones beyond this many leave, the least recently used first."""


class LocalLauncher:
    """The launcher of mode `local`; see `ports.launcher.Launcher` for its laws.

    It takes every later child of its process for its own, and kills those that nobody answers for.
    """

    def __init__(self, *, events: LauncherEvents, zygote_logs: Path, lifeline: Lifeline) -> None:
        self._events = events
        self._logs = zygote_logs
        self._lifeline = lifeline
        self._zygotes: dict[str, Zygote] = {}
        """Those that take orders, by environment."""
        self._closed: set[Zygote] = set()
        """Those that do not any more and are not gone."""
        self._owners: dict[AttemptKey, Zygote] = {}
        self._alone: set[AttemptKey] = set()
        """Those that have a zygote of their own."""
        self._cpu: dict[AttemptKey, float] = {}
        # Files of environments that nobody uses any more would add up over the lives of engines.
        for old in zygote_logs.glob("*.log"):
            old.unlink(missing_ok=True)
        self._orphans = Orphans(lambda: {zygote.pid for zygote in (*self._zygotes.values(), *self._closed)})
        self._waker = Waker(lambda: [*self._zygotes.values(), *self._closed], blame=self._blame)

    @property
    def zygotes(self) -> Sequence[Zygote]:
        """Those that take orders."""
        return list(self._zygotes.values())

    def start(self, order: AttemptOrder) -> None:
        if order.is_suspect:
            order = msgspec.structs.replace(order, environment=f"{order.environment}-{order.key}")
        zygote = self._zygotes.get(order.environment)
        if zygote is None:
            self._make_room()
            self._logs.mkdir(parents=True, exist_ok=True)
            log = self._logs / f"{order.environment[:16]}{f'-{order.key}' if order.is_suspect else ''}.log"
            zygote = Zygote(order, log=log, events=self, end_orphans=self._orphans.end, lifeline=self._lifeline)
            self._zygotes[order.environment] = zygote
        zygote.start(order)
        self._owners[order.key] = zygote
        if order.is_suspect:
            self._alone.add(order.key)
        self._waker.watch()

    def tell(self, key: AttemptKey, message: EngineToWorker) -> None:
        zygote = self._owners.get(key)
        if zygote is not None:
            zygote.tell(key, message)

    def end(self, key: AttemptKey, *, grace: float) -> None:
        zygote = self._owners.get(key)
        if zygote is not None:
            zygote.end(key, grace=grace)

    def idle(self, keys: Collection[AttemptKey]) -> set[AttemptKey]:
        found: set[AttemptKey] = set()
        for key in keys:
            zygote = self._owners.get(key)
            pid = None if zygote is None else zygote.pid_of(key)
            if pid is None:
                continue
            seconds, runnable = cpu_time_and_state(pid)
            before = self._cpu.get(key)
            self._cpu[key] = seconds
            if before is not None and not runnable and seconds <= before:
                found.add(key)
        return found

    async def close(self) -> None:
        await self._waker.close()
        for zygote in list(self._zygotes.values()):
            self._dismiss(zygote)
        await asyncio.gather(*(zygote.until_gone() for zygote in list(self._closed)))

    def _make_room(self) -> None:
        idle = sorted((z for z in self._zygotes.values() if z.forks == 0), key=lambda z: z.last_used)
        for zygote in idle[: max(0, len(self._zygotes) - MAX_ZYGOTES + 1)]:
            self._dismiss(zygote)

    def _dismiss(self, zygote: Zygote) -> None:
        self.zygote_closed(zygote)
        zygote.leave()

    def _blame(self, key: AttemptKey, failure: Failure) -> None:
        self._events.attempt_said(key, [AttemptFinished(attempt_key=key, outcome=Failed(failure=failure))])
        self.end(key, grace=0)

    # What zygotes say

    def worker_started(self, key: AttemptKey, pid: int) -> None:
        self._events.attempt_started(key, pid)

    def worker_said(self, key: AttemptKey, messages: Sequence[WorkerToEngine]) -> None:
        self._events.attempt_said(key, messages)

    def worker_refused(self, key: AttemptKey, failure: Failure) -> None:
        self._events.attempt_refused(key, failure)

    def worker_gone(self, key: AttemptKey, ended: Exit) -> None:
        zygote = self._owners.pop(key, None)
        self._cpu.pop(key, None)
        if key in self._alone:
            self._alone.discard(key)
            if zygote is not None and zygote not in self._closed:
                # Nobody else has its environment's name.
                self._dismiss(zygote)
        self._events.attempt_gone(key, ended)

    def zygote_warned(self, key: AttemptKey, message: str) -> None:
        self._events.launcher_warned(key, message)

    def zygote_closed(self, zygote: Zygote) -> None:
        # The next attempt, of this run or the next, imports anew: the user may have mended what failed.
        if self._zygotes.get(zygote.environment) is zygote:
            del self._zygotes[zygote.environment]
        self._closed.add(zygote)

    def zygote_gone(self, zygote: Zygote) -> None:
        self._closed.discard(zygote)
