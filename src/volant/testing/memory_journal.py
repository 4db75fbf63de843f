"""A journal in memory that keeps the port's laws, and whose commits a test can hold, fail or lose."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import msgspec

from volant.journal.filtering import Age, matches
from volant.journal.planning import Head, Heads, Plan, position
from volant.journal.receipts import Receipt
from volant.journal.rows import (
    ActionBytes,
    action_bytes,
    action_record,
    action_row,
    attempt_record,
    attempt_row,
    change_body,
    change_record,
    microseconds,
    run_record,
    run_row,
    spec_record,
    spec_row,
)
from volant.model.errors import BatchRefusedError, JournalError, RunNotFoundError
from volant.model.ids import ActionId, RunId, SpecDigest
from volant.model.phases import ActionPhase
from volant.model.records import ActionRecord, AttemptRecord, Batch, Change, RunRecord, SpecRecord
from volant.ports.journal import RunFilter
from volant.testing.memory_leases import MemoryLeases, StoredLease


class _StoredRun(msgspec.Struct):
    number: int
    record: RunRecord
    actions: dict[ActionId, tuple[int, ActionRecord]] = {}
    attempts: dict[ActionId, dict[int, AttemptRecord]] = {}
    changes: list[Change] = []


class MemoryStore:
    """What survives a `MemoryJournal`: give it to the next one, as a file is opened again."""

    def __init__(self, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.now = now
        """The store's clock, for leases."""
        self.leases: dict[RunId, StoredLease] = {}
        self.runs: dict[RunId, _StoredRun] = {}
        self.specs: dict[SpecDigest, SpecRecord] = {}
        self.numbered: dict[int, _StoredRun] = {}
        self.last_number = 0

    def head(self, run: RunId) -> Head | None:
        stored = self.runs.get(run)
        if stored is None:
            return None
        return Head(number=stored.number, seq=len(stored.changes), position=len(stored.actions))

    def place(self, number: int, action: ActionId) -> int | None:
        action_bytes(action)
        found = self.numbered[number].actions.get(action)
        return None if found is None else found[0]


class _Heads(Heads):
    """Several journals of one store do not give a number twice."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__(last_number=0)
        self._store = store

    def open(self, run: RunId) -> Head:
        self._store.last_number += 1
        head = self[run] = Head(number=self._store.last_number)
        return head


class MemoryJournal:
    """A `Journal` without a disk. A commit is durable one turn of the loop after it was given, unless held.

    Losing it without `close` is a crash: its `store` has what was durable.
    """

    def __init__(self, store: MemoryStore | None = None, *, leases: MemoryLeases | None = None) -> None:
        """With *leases* of an owner, other owners' journals may have the same store."""
        self.store = store or MemoryStore()
        self._leases = leases
        self.failure: JournalError | None = None
        self._loop = asyncio.get_running_loop()
        self._heads = _Heads(self.store)
        self._emptied = asyncio.Event()
        self._queue: list[tuple[Batch | RunId, Receipt[bool]]] = []
        self._held = False
        self._closed = False

    def hold(self) -> None:
        """Let commits wait from now on, as a slow disk does."""
        self._held = True

    def release(self) -> None:
        """Store what waits, and what is given later, without delay again."""
        self._held = False
        self._loop.call_soon(self._store)

    def fail(self, error: JournalError) -> None:
        """Refuse what waits and whatever is given later, as a full disk does."""
        self.failure = error
        queue, self._queue = self._queue, []
        for _, receipt in queue:
            receipt.fail(error)
        self._emptied.set()

    def commit(self, batch: Batch) -> Receipt[bool]:
        return self._give(batch)

    async def run(self, run: RunId) -> RunRecord | None:
        stored = self._runs().get(run)
        return None if stored is None else stored.record

    async def runs(self, where: RunFilter) -> Sequence[RunRecord]:
        found = [record for record in self._newest_first() if matches(where, record)]
        if where.since is not None:
            found = [record for record in found if record.created_at >= where.since]
        if where.before is not None:
            before = await self.run(where.before)
            if before is None:
                raise RunNotFoundError(f"run {where.before!r} is not in the journal, nothing is older than it")
            found = [record for record in found if _age(record) < _age(before)]
        return found[: max(where.limit, 0)]

    async def unfinished_runs(self) -> Sequence[RunRecord]:
        return [record for record in reversed(self._newest_first()) if not record.phase.is_final]

    async def matching_runs(self, prefix: str, *, limit: int = 10) -> Sequence[RunId]:
        names = [record.run for record in self._newest_first() if record.run.startswith(prefix)]
        return names[: max(limit, 0)]

    async def action(self, run: RunId, action: ActionId) -> ActionRecord | None:
        stored = self._runs().get(run)
        return None if stored is None or action not in stored.actions else stored.actions[action][1]

    async def actions_named(self, run: RunId, actions: Sequence[ActionId]) -> Sequence[ActionRecord]:
        stored = self._runs().get(run)
        names = [] if stored is None else [action for action in dict.fromkeys(actions) if action in stored.actions]
        return [self.store.runs[run].actions[action][1] for action in names]

    async def matching_actions(self, run: RunId, prefix: str, *, limit: int = 10) -> Sequence[ActionId]:
        stored = self._runs().get(run)
        names = [] if stored is None else sorted(action for action in stored.actions if action.startswith(prefix))
        return names[: max(limit, 0)]

    async def actions(
        self,
        run: RunId,
        *,
        parent: ActionId | None = None,
        phases: Sequence[ActionPhase] = (),
        after: int = 0,
        limit: int = 1000,
    ) -> Sequence[tuple[int, ActionRecord]]:
        stored = self._runs().get(run)
        if stored is None:
            return []
        found = [
            (place, action)
            for place, action in sorted(stored.actions.values(), key=_place)
            if place > after and (parent is None or action.parent == parent) and (not phases or action.phase in phases)
        ]
        return found[: max(limit, 0)]

    async def count_actions(self, run: RunId) -> dict[ActionPhase, int]:
        counts: dict[ActionPhase, int] = {}
        stored = self._runs().get(run)
        for _, action in stored.actions.values() if stored is not None else ():
            counts[action.phase] = counts.get(action.phase, 0) + 1
        return counts

    async def attempts(self, run: RunId, action: ActionId) -> Sequence[AttemptRecord]:
        stored = self._runs().get(run)
        by_number = {} if stored is None else stored.attempts.get(action, {})
        return [by_number[number] for number in sorted(by_number)]

    async def changes(self, run: RunId, *, after: int = 0, limit: int = 1000) -> Sequence[Change]:
        stored = self._runs().get(run)
        after = max(after, 0)
        return [] if stored is None else stored.changes[after : after + max(limit, 0)]

    async def last_seq(self, run: RunId) -> int:
        stored = self._runs().get(run)
        return 0 if stored is None else len(stored.changes)

    async def spec(self, spec: SpecDigest) -> SpecRecord | None:
        self._runs()
        return self.store.specs.get(spec)

    async def specs(self, *, limit: int = 1000) -> Sequence[SpecRecord]:
        self._runs()
        newest = sorted(self.store.specs.values(), key=lambda spec: (spec.used_at, spec.spec), reverse=True)
        return newest[: max(limit, 0)]

    async def delete_run(self, run: RunId) -> bool:
        return await self._give(run)

    async def close(self) -> None:
        self._closed = True
        self.release()
        if self._queue:
            await self._emptied.wait()
        if self._leases is not None:
            self._leases.close()

    def _give(self, work: Batch | RunId) -> Receipt[bool]:
        receipt: Receipt[bool] = Receipt(self._loop)
        if self.failure is not None:
            receipt.fail(self.failure)
        elif self._closed:
            receipt.fail(JournalError("the journal in memory was closed, nothing can be written to it"))
        else:
            self._emptied.clear()
            self._queue.append((work, receipt))
            self._loop.call_soon(self._store)
        return receipt

    def _store(self) -> None:
        if self._held:
            return
        queue, self._queue = self._queue, []
        for work, receipt in queue:
            if isinstance(work, Batch):
                self._store_batch(work, receipt)
            else:
                self._delete(work, receipt)
        self._emptied.set()

    def _delete(self, run: RunId, receipt: Receipt[bool]) -> None:
        try:
            receipt.succeed(self._forget(run))
        except JournalError as error:
            receipt.fail(error)

    def _store_batch(self, batch: Batch, receipt: Receipt[bool]) -> None:
        plan = Plan(self._heads, self.store)
        try:
            _check_storable(batch)
            if self._leases is not None:
                self._admit(self._leases, batch)
            plan.add(batch)
        except JournalError as error:
            receipt.fail(error)
            return
        except (ValueError, TypeError, OverflowError, KeyError) as error:
            receipt.fail(BatchRefusedError(f"a batch holds a value that cannot be stored: {error}"))
            return
        self._write(plan)
        receipt.succeed(True)

    def _write(self, plan: Plan) -> None:
        # Through rows and back: what comes out is what comes out of a database, and shares nothing with what went in.
        self.store.specs.update({digest: spec_record(spec_row(spec)) for digest, spec in plan.specs.items()})
        for number, record in plan.runs.items():
            stored = self.store.runs.setdefault(record.run, _StoredRun(number, record))
            self.store.numbered[number] = stored
            stored.record = run_record(run_row(record))
            if self._leases is not None:
                self._leases.written(record)
        for rows in (plan.new_actions, plan.changed_actions):
            for at, action in rows.items():
                self.store.runs[action.run].actions[action.action] = (
                    position(at),
                    action_record(action.run, action_row(action, ActionBytes())),
                )
        for attempt in plan.attempts.values():
            self.store.runs[attempt.run].attempts.setdefault(attempt.action, {})[attempt.attempt] = attempt_record(
                attempt.run, attempt.action, attempt_row(attempt)
            )
        for _, change in plan.changes:
            self.store.runs[change.run].changes.append(
                change_record(change.run, change.seq, change_body(change, ActionBytes()))
            )
        plan.settle()

    def _admit(self, leases: MemoryLeases, batch: Batch) -> None:
        runs = {record.run for record in batch.runs} | {record.run for record in batch.actions}
        runs |= {record.run for record in batch.attempts} | {change.run for change in batch.changes}
        try:
            leases.admit(sorted(runs))
        finally:
            for run in leases.stale():
                self._heads.pop(run, None)

    def _forget(self, run: RunId) -> bool:
        if run not in self.store.runs:
            return False
        if self._leases is not None:
            self._leases.admit([run])
            self._leases.deleted(run)
        stored = self.store.runs.pop(run)
        self._heads.pop(run, None)
        del self.store.numbered[stored.number]
        return True

    def _runs(self) -> dict[RunId, _StoredRun]:
        if self._closed:
            raise JournalError("the journal in memory was closed, nothing can be read from it")
        return self.store.runs

    def _newest_first(self) -> list[RunRecord]:
        return sorted((stored.record for stored in self._runs().values()), key=_age, reverse=True)


def _check_storable(batch: Batch) -> None:
    # The fake refuses what a database cannot hold.
    rows = [run_row(run) for run in batch.runs]
    rows += [action_row(action, ActionBytes()) for action in batch.actions]
    rows += [attempt_row(attempt) for attempt in batch.attempts]
    rows += [(change_body(change, ActionBytes()),) for change in batch.changes]
    rows += [(spec.spec, spec.body) for spec in batch.specs]
    for row in rows:
        for column in row:
            if isinstance(column, str):
                column.encode()


def _age(run: RunRecord) -> Age:
    return Age(microseconds(run.created_at), run.run)


def _place(placed: tuple[int, ActionRecord]) -> int:
    return placed[0]
