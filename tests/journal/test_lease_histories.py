"""Random histories of owners: who may write a run, and that nobody else ever did, as a plain model says."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from volant.journal.postgres import PostgresJournal
from volant.model.errors import JournalError, RunNotFoundError
from volant.model.ids import RunId
from volant.model.phases import ActionPhase
from volant.model.records import Batch
from volant.ports.leases import Lease, OwnedElsewhere
from volant.testing.journal import sample_change, sample_run
from volant.testing.leases import Owner
from volant.testing.memory_journal import MemoryJournal, MemoryStore
from volant.testing.memory_leases import MemoryLeases
from volant.testing.postgres_server import PostgresServer

seats = st.sampled_from([0, 1, 2])
"""Three engines; one that dies is replaced by another, with another name."""
names = st.sampled_from([RunId("x"), RunId("y")])


@dataclass
class ModelRun:
    age: int
    owner: str
    token: int = 1
    has_run_out: bool = False
    seq: int = 0
    ended: bool = False

    def is_free(self) -> bool:
        return not self.owner or self.has_run_out


class LeaseHistories(RuleBasedStateMachine):
    """Owners that come and go, and the laws."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.store = MemoryStore(now=lambda: self.now)
        self.now = datetime(2024, 1, 1, tzinfo=UTC)
        self.runs: dict[RunId, ModelRun] = {}
        self.holds: set[tuple[str, RunId]] = set()
        """Who has no reason yet to doubt that a run is its own."""
        self.parted: set[tuple[str, RunId]] = set()
        self.born = 0
        self.begin()
        self.owners = [self.runner.run(self.open(self.new_name())) for _ in range(3)]

    def begin(self) -> None:
        """Make the store."""

    def new_name(self) -> str:
        self.born += 1
        return f"engine-{self.born}"

    async def open(self, name: str) -> Owner:
        leases = MemoryLeases(self.store, owner=name)
        return Owner(MemoryJournal(self.store, leases=leases), leases)

    async def kill(self, owner: Owner) -> None:
        """End it without a word."""

    async def make_run_out(self, run: RunId) -> None:
        self.store.leases[run].until = self.now

    def teardown(self) -> None:
        for owner in self.owners:
            self.runner.run(owner.journal.close())
        self.runner.close()

    def may_write(self, name: str, run: RunId) -> bool:
        model = self.runs[run]
        return model.owner == name or (not model.owner and (name, run) not in self.parted)

    def take(self, name: str, run: RunId) -> None:
        model = self.runs[run]
        if model.owner != name:
            model.owner, model.token, model.has_run_out = name, model.token + 1, False
        self.parted.discard((name, run))
        self.holds.add((name, run))

    def part(self, name: str, run: RunId) -> None:
        """It hears that a run is not its own."""
        if (name, run) in self.holds:
            self.holds.discard((name, run))
            self.parted.add((name, run))

    def stored(self, owner: Owner, batch: Batch) -> bool:
        async def commit() -> bool:
            try:
                await owner.journal.commit(batch)
            except JournalError:
                return False
            return True

        return self.runner.run(commit())

    @rule(seat=seats, run=names)
    def create(self, seat: int, run: RunId) -> None:
        owner = self.owners[seat]
        if run in self.runs:
            return
        assert self.stored(owner, Batch(runs=(sample_run(run, age=len(self.runs)),)))
        self.runs[run] = ModelRun(len(self.runs), owner.leases.owner)
        self.take(owner.leases.owner, run)

    @rule(seat=seats, run=names)
    def write(self, seat: int, run: RunId) -> None:
        owner = self.owners[seat]
        if run not in self.runs:
            return
        name, model = owner.leases.owner, self.runs[run]
        allowed = self.may_write(name, run)
        assert self.stored(owner, Batch(changes=(sample_change(model.seq + 1, run=run, message=name),))) is allowed
        if allowed:
            self.take(name, run)
            model.seq += 1
        else:
            self.part(name, run)

    @rule(seat=seats, run=names)
    def end(self, seat: int, run: RunId) -> None:
        owner = self.owners[seat]
        if run not in self.runs:
            return
        name, model = owner.leases.owner, self.runs[run]
        allowed = self.may_write(name, run)
        record = sample_run(run, age=model.age, phase=ActionPhase.SUCCEEDED)
        assert self.stored(owner, Batch(runs=(record,))) is allowed
        if allowed:
            self.take(name, run)
            model.owner, model.ended, model.has_run_out = "", True, False
            self.holds.discard((name, run))
        else:
            self.part(name, run)

    @rule(seat=seats, run=names)
    def acquire(self, seat: int, run: RunId) -> None:
        leases = self.owners[seat].leases
        if run not in self.runs:
            with pytest.raises(RunNotFoundError):
                self.runner.run(leases.acquire(run))
            return
        model = self.runs[run]
        answer = self.runner.run(leases.acquire(run))
        if model.owner == leases.owner or model.is_free():
            self.take(leases.owner, run)
            model.has_run_out = False
            assert answer == Lease(run=run, owner=leases.owner, token=model.token)
        else:
            assert isinstance(answer, OwnedElsewhere)
            assert answer.owner == model.owner

    @rule(seat=seats)
    def extend(self, seat: int) -> None:
        leases = self.owners[seat].leases
        lost = self.runner.run(leases.extend())
        for run in lost:
            assert run not in self.runs or self.runs[run].owner != leases.owner
            self.part(leases.owner, run)
        for model in self.runs.values():
            if model.owner == leases.owner:
                model.has_run_out = False

    @rule(seat=seats, run=names)
    def release(self, seat: int, run: RunId) -> None:
        leases = self.owners[seat].leases
        self.runner.run(leases.release(run))
        self.part(leases.owner, run)
        model = self.runs.get(run)
        if model is not None and model.owner == leases.owner:
            model.owner, model.has_run_out = "", False

    @rule(run=names)
    def let_time_pass(self, run: RunId) -> None:
        if run in self.runs and self.runs[run].owner:
            self.runner.run(self.make_run_out(run))
            self.runs[run].has_run_out = True

    @rule(seat=seats)
    def replace_a_dead_engine(self, seat: int) -> None:
        self.runner.run(self.kill(self.owners[seat]))
        self.owners[seat] = self.runner.run(self.open(self.new_name()))

    @rule(seat=seats, run=names)
    def delete(self, seat: int, run: RunId) -> None:
        owner = self.owners[seat]
        name = owner.leases.owner
        if run not in self.runs:
            assert self.runner.run(owner.journal.delete_run(run)) is False
        elif self.may_write(name, run):
            assert self.runner.run(owner.journal.delete_run(run)) is True
            del self.runs[run]
            self.holds.discard((name, run))
        else:
            with pytest.raises(JournalError):
                self.runner.run(owner.journal.delete_run(run))
            self.part(name, run)

    @invariant()
    def the_feed_and_the_orphans_are_what_the_model_says(self) -> None:
        journal, leases = self.owners[0]
        for run, model in self.runs.items():
            changes = self.runner.run(journal.changes(run))
            assert [change.seq for change in changes] == list(range(1, model.seq + 1))
        orphans = sorted((model.age, run) for run, model in self.runs.items() if model.is_free() and not model.ended)
        assert [(self.runs[run].age, run) for run in self.runner.run(leases.reap())] == orphans


class PostgresLeaseHistories(LeaseHistories):
    """The same on a server."""

    server: ClassVar[PostgresServer]

    def begin(self) -> None:
        self.url = self.server.new_database()

    async def open(self, name: str) -> Owner:
        journal = await PostgresJournal.open(self.url, owner=name)
        return Owner(journal, journal.leases)

    async def kill(self, owner: Owner) -> None:
        journal = owner.journal
        assert isinstance(journal, PostgresJournal)
        assert journal._writer is not None
        journal._writer._task.cancel()
        await asyncio.gather(journal._writer._task, return_exceptions=True)
        await journal._connections.close()

    async def make_run_out(self, run: RunId) -> None:
        database = self.url.rpartition("/")[2]
        number = f"(SELECT number FROM volant.runs WHERE run = '{run}')"
        self.server.execute(f"UPDATE volant.leases SET until = now() WHERE run_number = {number}", database)


def _settings(examples: int) -> settings:
    return settings(
        max_examples=examples,
        stateful_step_count=25,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


TestMemoryLeaseHistories = LeaseHistories.TestCase
TestMemoryLeaseHistories.settings = _settings(100)


@pytest.mark.timeout(300)
def test_postgres_lease_histories(postgres: PostgresServer) -> None:
    PostgresLeaseHistories.server = postgres
    run_state_machine_as_test(PostgresLeaseHistories, settings=_settings(15))
