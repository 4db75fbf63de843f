"""Attempts as processes of this machine, forked by zygotes: by this engine's, and by those that an earlier one left."""

import asyncio
from collections.abc import Collection, Sequence
from pathlib import Path

import msgspec

from volant.kit.processes import cpu_time_and_state
from volant.launchers.framed_socket import FramedSocket
from volant.launchers.interpreters import FoundInterpreter
from volant.launchers.lifelines import Lifeline
from volant.launchers.orphans import Orphans
from volant.launchers.strays import end_strays
from volant.launchers.survivors import WaitingSurvivors
from volant.launchers.waking import Waker
from volant.launchers.zygote import Zygote, exit_of
from volant.model.exits import Exit
from volant.model.failures import Failure
from volant.model.ids import AttemptKey, RunId
from volant.model.worker_protocol import (
    AttemptFinished,
    EngineToWorker,
    Failed,
    ForkedAttempt,
    Rejoining,
    WorkerToEngine,
    ZygoteReturned,
)
from volant.ports.launcher import AttemptOrder, LauncherEvents

MAX_ZYGOTES = 8
"""Idle ones beyond this many leave, the least recently used first."""


class LocalLauncher:
    """The launcher of mode `local`; see `ports.launcher.Launcher` for its laws.

    It takes every later child of its process for its own, and kills those that nobody answers for.
    """

    def __init__(
        self, *, events: LauncherEvents, zygote_logs: Path, lifeline: Lifeline, rejoining: Rejoining | None = None
    ) -> None:
        """*rejoining* tells zygotes what to do when this engine dies; what it says of an environment is filled in."""
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
        self._rejoining = rejoining
        self._survivors = WaitingSurvivors()
        self._early: dict[AttemptKey, tuple[int, FramedSocket]] = {}
        """Workers that returned before their zygote."""
        self._second: set[Zygote] = set()
        """Those that returned to an engine that had another of the same environment: they leave with their forks."""
        self._dismissing: dict[AttemptKey, asyncio.Future[None]] = {}
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
            zygote = Zygote.started(
                order,
                log=log,
                events=self,
                end_orphans=self._end_orphans,
                lifeline=self._lifeline,
                rejoining=self._rejoining_of(order),
            )
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

    def adopt(self, key: AttemptKey) -> None:
        found = self._survivors.go_on(key)
        if found is None:
            return
        fork, ended = found
        loop = asyncio.get_running_loop()
        loop.call_soon(self._events.attempt_started, key, fork.pid)
        if ended is not None:
            loop.call_soon(self._events.attempt_gone, key, ended)
            return
        zygote = self._owners.get(key)
        if zygote is not None:
            zygote.go_on(key)
            self._waker.watch()

    def end(self, key: AttemptKey, *, grace: float) -> None:
        ended = self._survivors.dismiss(key)
        if ended is not None:
            asyncio.get_running_loop().call_soon(self._events.attempt_gone, key, ended)
            return
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
        for _, connection in self._early.values():
            connection.close()
        for zygote in self._second:
            zygote.leave()
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

    # What an earlier engine left

    @property
    def returned(self) -> Collection[int]:
        """Processes of zygotes that are this launcher's, whoever started them."""
        return {zygote.pid for zygote in (*self._zygotes.values(), *self._closed)}

    @property
    def awaits_resuming(self) -> bool:
        """Whether attempts of an earlier engine are here whose run nobody has resumed."""
        return self._survivors.are_expected

    def zygote_returned(self, message: ZygoteReturned, pid: int, connection: FramedSocket) -> bool:
        """A zygote that outlived its engine is here; whether it may stay."""
        if pid != message.pid or pid in self.returned or not self._lifeline.is_noted(pid):
            return False
        environment = message.rejoining.environment
        log = self._logs / f"{environment[:16]}.log"
        zygote = Zygote.found(
            message, FoundInterpreter(pid), connection, log=log, events=self, end_orphans=self._end_strays
        )
        if environment in self._zygotes:
            self._closed.add(zygote)
            self._second.add(zygote)
        else:
            self._zygotes[environment] = zygote
        for gone in message.gone:
            self._survivors.add(gone.fork, exit_of(gone.ended))
        for fork in message.forks:
            self._survivors.add(fork)
            self._owners[fork.attempt_key] = zygote
            early = self._early.pop(fork.attempt_key, None)
            if early is not None and not zygote.attach(fork.attempt_key, *early):
                early[1].close()
        return True

    def worker_returned(self, key: AttemptKey, pid: int, connection: FramedSocket) -> bool:
        """A worker that outlived its engine is here; whether it may stay."""
        zygote = self._owners.get(key)
        if zygote is not None:
            return zygote.attach(key, pid, connection)
        connection.hand_over(on_frames=lambda _: connection.close(), on_end=lambda _: self._forget_early(key))
        self._early[key] = (pid, connection)
        return True

    async def end_strays(self, run: RunId) -> None:
        """End what attempts of a run have left behind whose zygote was killed while no engine was there."""
        await end_strays(labels=[f"{run}/"], lifelines=(), spared=tuple(self.returned))

    def survivors(self, run: RunId) -> Sequence[ForkedAttempt]:
        """The run is resumed: its attempts that are, or were, still there. Each is to be adopted or ended."""
        return self._survivors.take(run)

    async def dismiss(self, run: RunId | None, *, grace: float) -> None:
        """End attempts that nobody goes on with, of one run or all, and return when nothing of them is left."""
        ended: list[asyncio.Future[None]] = []
        for key in self._survivors.unclaimed(lambda fork: run in (None, fork.run)):
            if self._survivors.dismiss(key) is None and (zygote := self._owners.get(key)) is not None:
                ended.append(self._dismissing.setdefault(key, asyncio.get_running_loop().create_future()))
                zygote.end(key, grace=grace)
        for gone in ended:
            await asyncio.shield(gone)

    def _forget_early(self, key: AttemptKey) -> None:
        self._early.pop(key, None)

    def _rejoining_of(self, order: AttemptOrder) -> Rejoining | None:
        if self._rejoining is None:
            return None
        return msgspec.structs.replace(self._rejoining, environment=order.environment, label=order.label)

    async def _end_orphans(self, _labels: Sequence[str]) -> bool:
        return await self._orphans.end()

    async def _end_strays(self, labels: Sequence[str]) -> bool:
        return await self._lifeline.end_strays(labels, spared=self.returned)

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
        if zygote in self._second and zygote.forks == 0:
            zygote.leave()
        dismissed = self._dismissing.pop(key, None)
        if dismissed is not None and not dismissed.done():
            dismissed.set_result(None)
        if not self._survivors.gone(key, ended):
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
        self._second.discard(zygote)
