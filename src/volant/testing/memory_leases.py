"""Leases in memory, for several `MemoryJournal`s of one store, on a clock that a test can set."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from volant.journal.holdings import Holdings
from volant.model.errors import RunNotFoundError
from volant.model.ids import RunId
from volant.model.records import RunRecord
from volant.ports.leases import Lease, OwnedElsewhere

if TYPE_CHECKING:
    from volant.testing.memory_journal import MemoryStore

_LONG_AGO = datetime.min.replace(tzinfo=UTC)


class StoredLease(msgspec.Struct, kw_only=True):
    """Who owns a run, and until when."""

    owner: str
    token: int
    until: datetime


class MemoryLeases:
    """The `Leases` of one owner in a store; give them to its journal, which heeds them."""

    def __init__(self, store: "MemoryStore", *, owner: str, duration: timedelta = timedelta(seconds=30)) -> None:
        self._store = store
        self._holdings = Holdings(owner)
        self._duration = duration

    @property
    def owner(self) -> str:
        return self._holdings.owner

    @property
    def duration(self) -> timedelta:
        return self._duration

    async def acquire(self, run: RunId) -> Lease | OwnedElsewhere:
        lease = self._stored(run)
        now = self._store.now()
        if lease.owner == self.owner and lease.token == self._holdings.held.get(run):
            lease.until = now + self._duration
        elif lease.until > now and lease.owner != self.owner:
            return OwnedElsewhere(run=run, owner=lease.owner, remaining=lease.until - now)
        else:
            self._take(run, lease)
        return Lease(run=run, owner=self.owner, token=lease.token)

    async def extend(self) -> Sequence[RunId]:
        lost = [run for run in self._holdings.held if not self._extended(run)]
        for run in lost:
            self._holdings.parted(run)
        return lost

    async def release(self, run: RunId) -> None:
        if run in self._holdings.held:
            if self._extended(run):
                self._let_go(run)
            self._holdings.parted(run)

    async def reap(self) -> Sequence[RunId]:
        now = self._store.now()
        unfinished = [run.record for run in self._store.runs.values() if not run.record.phase.is_final]
        unfinished.sort(key=lambda record: (record.created_at, record.run))
        return [record.run for record in unfinished if self._stored(record.run).until <= now]

    # What the journal asks and tells

    def admit(self, runs: Iterable[RunId]) -> None:
        """Check that all of *runs* may be written; those that nobody has become this owner's.

        Raises:
            BatchRefusedError: one belongs to another.
        """
        for run in runs:
            lease, held = self._store.leases.get(run), self._holdings.held.get(run)
            if lease is None or (lease.owner == self.owner and lease.token == held):
                continue
            # What is held with another token was lost, though whoever had it since may have released it.
            if lease.owner or held is not None or not self._holdings.may_take(run):
                self._holdings.seen_with_another(run)
                raise self._holdings.refusal(run, lease.owner)
            self._take(run, lease)

    def stale(self) -> set[RunId]:
        """Runs of which the journal has to forget what it knows."""
        return self._holdings.stale()

    def written(self, record: RunRecord) -> None:
        """The row of a run was stored."""
        if record.run not in self._store.leases:
            self._store.leases[record.run] = StoredLease(owner="", token=0, until=_LONG_AGO)
            self._take(record.run, self._store.leases[record.run])
        if record.phase.is_final:
            self._let_go(record.run)
            self._holdings.ended(record.run)

    def deleted(self, run: RunId) -> None:
        """The run is not there any more."""
        self._store.leases.pop(run, None)
        self._holdings.ended(run)

    def close(self) -> None:
        """Let others have all runs at once."""
        for run in self._holdings.held:
            if self._extended(run):
                self._let_go(run)

    def _stored(self, run: RunId) -> StoredLease:
        if run not in self._store.runs:
            raise RunNotFoundError(f"run {run!r} is not in the journal, so nobody can own it")
        return self._store.leases.setdefault(run, StoredLease(owner="", token=0, until=_LONG_AGO))

    def _take(self, run: RunId, lease: StoredLease) -> None:
        lease.owner, lease.token, lease.until = self.owner, lease.token + 1, self._store.now() + self._duration
        self._holdings.acquired(run, lease.token)

    def _extended(self, run: RunId) -> bool:
        lease = self._store.leases.get(run)
        if lease is None or lease.owner != self.owner or lease.token != self._holdings.held.get(run):
            return False
        lease.until = self._store.now() + self._duration
        return True

    def _let_go(self, run: RunId) -> None:
        lease = self._store.leases[run]
        lease.owner, lease.until = "", _LONG_AGO
