"""The journal and the leases of a simulated engine: the port's real fakes behind a wire, with what goes wrong there.

Commits wait, go in groups, take their time, and are applied somewhere else than where they were asked for: what was
under way when an engine died may be stored or not, and an engine that sleeps finds its answers later.
"""

import asyncio
import contextlib
from asyncio import events
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import msgspec

from tests.simulation.laws import Laws
from tests.simulation.machine import Machine, Process
from volant.journal.receipts import Receipt
from volant.model.errors import JournalError
from volant.model.ids import ActionId, RunId, SpecDigest
from volant.model.phases import ActionPhase
from volant.model.records import ActionRecord, AttemptRecord, Batch, Change, RunRecord, SpecRecord
from volant.ports.journal import RunFilter
from volant.ports.leases import Lease, Leases, OwnedElsewhere
from volant.testing.memory_journal import MemoryJournal, MemoryStore
from volant.testing.memory_leases import MemoryLeases


class Weather(msgspec.Struct, kw_only=True):
    """How well the store's machine does."""

    commit_seconds: float = 0.001
    """At most, of most commits."""
    slow_commit: float = 0.0
    """The share of commits that take up to a hundred times as long."""
    read_seconds: float = 0.0
    lease_errors: float = 0.0
    """The share of questions about leases that get no answer."""
    is_disk_full: bool = False


class Disk:
    """Where everything is stored, and who may write it; it outlives all engines."""

    def __init__(self, machine: Machine, *, is_shared: bool, lease_seconds: float) -> None:
        self.machine = machine
        self.is_shared = is_shared
        self.lease_seconds = lease_seconds
        self.weather = Weather()
        self.store = MemoryStore(now=machine.utc)
        self.process = Process(machine, "store")
        self.laws: Laws


class SimulatedJournal:
    """The `Journal` of one engine."""

    def __init__(self, disk: Disk, process: Process, owner: str, leases: MemoryLeases | None) -> None:
        self._disk = disk
        self._machine = disk.machine
        self._process = process
        self._owner = owner
        self._loop = process.loop
        self._inner: MemoryJournal = _on(disk.process, MemoryJournal, disk.store, leases=leases)
        self._queue: list[tuple[Batch | RunId, Receipt[Any]]] = []
        self._group: list[tuple[Batch | RunId, Receipt[Any]]] = []
        self._is_closed = False
        process.on_death.append(self._engine_died)

    def commit(self, batch: Batch) -> Receipt[Any]:
        self._process.step()
        receipt = self._give(batch)
        self._process.step()
        return receipt

    async def delete_run(self, run: RunId) -> bool:
        return bool(await self._give(run))

    async def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            # What was refused is known; the store is let go of all the same.
            with contextlib.suppress(JournalError):
                await self._give(Batch())
            await self._inner.close()

    async def run(self, run: RunId) -> RunRecord | None:
        await self._read()
        return await self._inner.run(run)

    async def runs(self, where: RunFilter) -> Sequence[RunRecord]:
        await self._read()
        return await self._inner.runs(where)

    async def unfinished_runs(self) -> Sequence[RunRecord]:
        await self._read()
        return await self._inner.unfinished_runs()

    async def matching_runs(self, prefix: str, *, limit: int = 10) -> Sequence[RunId]:
        await self._read()
        return await self._inner.matching_runs(prefix, limit=limit)

    async def action(self, run: RunId, action: ActionId) -> ActionRecord | None:
        await self._read()
        return await self._inner.action(run, action)

    async def actions_named(self, run: RunId, actions: Sequence[ActionId]) -> Sequence[ActionRecord]:
        await self._read()
        return await self._inner.actions_named(run, actions)

    async def matching_actions(self, run: RunId, prefix: str, *, limit: int = 10) -> Sequence[ActionId]:
        await self._read()
        return await self._inner.matching_actions(run, prefix, limit=limit)

    async def actions(
        self,
        run: RunId,
        *,
        parent: ActionId | None = None,
        phases: Sequence[ActionPhase] = (),
        after: int = 0,
        limit: int = 1000,
    ) -> Sequence[tuple[int, ActionRecord]]:
        await self._read()
        return await self._inner.actions(run, parent=parent, phases=phases, after=after, limit=limit)

    async def count_actions(self, run: RunId) -> dict[ActionPhase, int]:
        await self._read()
        return await self._inner.count_actions(run)

    async def attempts(self, run: RunId, action: ActionId) -> Sequence[AttemptRecord]:
        await self._read()
        return await self._inner.attempts(run, action)

    async def changes(self, run: RunId, *, after: int = 0, limit: int = 1000) -> Sequence[Change]:
        await self._read()
        return await self._inner.changes(run, after=after, limit=limit)

    async def last_seq(self, run: RunId) -> int:
        await self._read()
        return await self._inner.last_seq(run)

    async def spec(self, spec: SpecDigest) -> SpecRecord | None:
        await self._read()
        return await self._inner.spec(spec)

    async def specs(self, *, limit: int = 1000) -> Sequence[SpecRecord]:
        await self._read()
        return await self._inner.specs(limit=limit)

    async def _read(self) -> None:
        seconds = self._disk.weather.read_seconds
        if seconds:
            await _pause(self._machine.random.random() * seconds)

    def _give(self, work: Batch | RunId) -> Receipt[Any]:
        receipt: Receipt[Any] = Receipt(self._loop)
        self._queue.append((work, receipt))
        if not self._group:
            self._send_group()
        return receipt

    def _send_group(self) -> None:
        self._group, self._queue = self._queue, []
        if self._group:
            weather, random = self._disk.weather, self._machine.random
            seconds = random.random() * weather.commit_seconds
            if random.random() < weather.slow_commit:
                seconds *= 100
            self._machine.after(seconds * 0.7, self._apply, self._group, seconds * 0.3)

    def _apply(self, group: list[tuple[Batch | RunId, Receipt[Any]]], way_back: float) -> None:
        """In the store. Its answers go back to the engine, if that is still there."""
        if group is not self._group:
            return
        if self._disk.weather.is_disk_full and self._inner.failure is None:
            self._machine.note("store", f"refuses {self._owner}: the disk is full")
            self._inner.failure = JournalError("the disk is full")
        for work, receipt in group:
            error = _on(self._disk.process, self._store, work).error
            told = receipt.succeed if error is None else receipt.fail
            self._machine.after(way_back, self._process.arrive, told, True if error is None else error)
        self._machine.after(way_back, self._next_group, group)

    def _store(self, work: Batch | RunId) -> Receipt[Any]:
        give: Any = self._inner._give
        inner: Receipt[Any] = give(work)
        store: Any = self._inner._store
        laws, written = self._disk.laws, self._inner._write

        def checked(plan: Any) -> None:
            # Whoever admitted it, the laws judge it.
            if isinstance(work, Batch):
                laws.written(self._owner, work)
            written(plan)

        self._inner._write = checked  # type: ignore[method-assign]
        try:
            store()
        finally:
            self._inner._write = written  # type: ignore[method-assign]
        if isinstance(work, Batch) and (work.actions or work.runs or work.changes):
            said = "stores" if inner.error is None else f"refuses ({inner.error})"
            self._machine.note("store", f"{said} from {self._owner}: {_in_short(work)}")
        return inner

    def _next_group(self, group: list[tuple[Batch | RunId, Receipt[Any]]]) -> None:
        if group is self._group:
            self._send_group()

    def _engine_died(self) -> None:
        self._queue = []
        if not self._disk.is_shared or self._machine.random.random() < 0.5:
            # A journal in the process dies with it; what was sent to a server may still arrive, or not.
            applied = self._group if not self._disk.is_shared and self._machine.random.random() < 0.5 else []
            if applied:
                self._apply(applied, 0.0)
            self._group = []


class SimulatedLeases:
    """The `Leases` of one engine, at the other end of a wire."""

    def __init__(self, disk: Disk, process: Process, inner: Leases) -> None:
        self._disk = disk
        self._process = process
        self._inner = inner

    @property
    def owner(self) -> str:
        return self._inner.owner

    @property
    def duration(self) -> timedelta:
        return self._inner.duration

    async def acquire(self, run: RunId) -> Lease | OwnedElsewhere:
        await self._ask()
        answer = await self._inner.acquire(run)
        if isinstance(answer, Lease):
            self._disk.laws.owners[run] = self.owner
            self._disk.machine.note("store", f"{run} belongs to {self.owner}, token {answer.token}")
        await self._way_back()
        return answer

    async def extend(self) -> Sequence[RunId]:
        await self._ask()
        answer = await self._inner.extend()
        await self._way_back()
        return answer

    async def release(self, run: RunId) -> None:
        await self._ask()
        await self._inner.release(run)

    async def reap(self) -> Sequence[RunId]:
        await self._ask()
        return await self._inner.reap()

    async def _ask(self) -> None:
        self._process.step()
        if self._disk.is_shared:
            await self._way_back()
            if self._disk.machine.random.random() < self._disk.weather.lease_errors:
                raise JournalError("the store does not answer")

    async def _way_back(self) -> None:
        if self._disk.is_shared:
            seconds = self._disk.machine.random.random() * self._disk.weather.commit_seconds
            await _pause(seconds)


async def _pause(seconds: float) -> None:
    await asyncio.sleep(max(seconds, 1e-9))


def _on(process: Process, make: Any, *args: Any, **named: Any) -> Any:
    """What *make* gives when it is called in a process."""
    running = events._get_running_loop()
    events._set_running_loop(process.loop)
    try:
        return make(*args, **named)
    finally:
        events._set_running_loop(running)


def _in_short(batch: Batch) -> str:
    parts = [f"run {run.run} {run.phase}" for run in batch.runs]
    parts += [f"{action.short_name}#{action.action[:5]} {action.phase}" for action in batch.actions]
    parts += [f"attempt {each.action[:5]}/{each.attempt} {each.phase}" for each in batch.attempts]
    return ", ".join(parts) or f"{len(batch.changes)} change(s)"
