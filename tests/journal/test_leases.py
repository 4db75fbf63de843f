"""Leases keep the port's laws, on Postgres and in memory; where there is one owner, they are trivial."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from volant.journal.postgres import PostgresJournal
from volant.journal.sole_leases import SoleLeases
from volant.journal.sqlite import SqliteJournal
from volant.model.errors import RunNotFoundError
from volant.model.ids import RunId
from volant.model.phases import ActionPhase
from volant.model.records import Batch
from volant.ports.leases import Lease, OwnedElsewhere
from volant.testing.journal import refused, sample_run
from volant.testing.leases import R1, LeaseConformance, Owner
from volant.testing.memory_journal import MemoryJournal, MemoryStore
from volant.testing.memory_leases import MemoryLeases
from volant.testing.postgres_server import PostgresServer


class TestPostgresLeases(LeaseConformance):
    @pytest.fixture(autouse=True)
    def _databases(self, postgres: PostgresServer) -> None:
        self.server = postgres
        self.url = postgres.new_database()

    async def open(self, place: Path, owner: str) -> Owner:
        journal = await PostgresJournal.open(self.url, owner=owner)
        return Owner(journal, journal.leases)

    async def run_out(self, place: Path, run: RunId) -> None:
        self.server.execute(
            "UPDATE volant.leases SET until = now() - interval '1 second' "
            f"FROM volant.runs WHERE number = run_number AND run = '{run}'",
            self.url.rpartition("/")[2],
        )


class TestMemoryLeases(LeaseConformance):
    @pytest.fixture(autouse=True)
    def _store(self) -> None:
        self.store = MemoryStore()

    async def open(self, place: Path, owner: str) -> Owner:
        leases = MemoryLeases(self.store, owner=owner)
        return Owner(MemoryJournal(self.store, leases=leases), leases)

    async def run_out(self, place: Path, run: RunId) -> None:
        self.store.leases[run].until = self.store.now() - timedelta(seconds=1)


def test_where_there_is_one_owner_every_run_that_it_did_not_begin_can_be_acquired(tmp_path: Path) -> None:
    async def body() -> None:
        journal = await SqliteJournal.open(tmp_path / "journal.db")
        await journal.commit(
            Batch(
                runs=(
                    sample_run(owner="dead", token=4),
                    sample_run("mine", owner="me", token=1),
                    sample_run("old", age=-5, owner="dead", token=1),
                    sample_run("done", phase=ActionPhase.FAILED),
                )
            )
        )
        leases = SoleLeases(journal, owner="me")
        assert list(await leases.reap()) == ["old", "r1"]
        assert await leases.acquire(R1) == Lease(run=R1, owner="me", token=5)
        assert await leases.acquire(R1) == Lease(run=R1, owner="me", token=5)
        assert await leases.acquire(RunId("mine")) == Lease(run=RunId("mine"), owner="me", token=1)
        assert list(await leases.extend()) == []
        assert list(await leases.reap()) == ["old"]
        await leases.release(R1)
        assert list(await leases.reap()) == ["old", "r1"]
        await leases.release(RunId("mine"))
        assert list(await leases.reap()) == ["old", "mine", "r1"]
        assert await leases.acquire(RunId("mine")) == Lease(run=RunId("mine"), owner="me", token=1)
        assert list(await leases.reap()) == ["old", "r1"]
        await refused(leases.acquire(RunId("nowhere")), RunNotFoundError)
        await journal.close()

    asyncio.run(body())


def test_a_run_of_an_owner_that_is_known_to_be_dead_is_taken_over_at_once(postgres: PostgresServer) -> None:
    async def body() -> None:
        url = postgres.new_database()
        gone = await PostgresJournal.open(url, owner="gone")
        await gone.commit(Batch(runs=(sample_run(), sample_run("other"))))
        stranger = await PostgresJournal.open(url, owner="stranger", dead=("somebody",))
        assert list(await stranger.leases.reap()) == []
        assert isinstance(await stranger.leases.acquire(R1), OwnedElsewhere)
        heir = await PostgresJournal.open(url, owner="heir", dead=("somebody", "gone"))
        assert set(await heir.leases.reap()) == {"r1", "other"}
        assert await heir.leases.acquire(R1) == Lease(run=R1, owner="heir", token=2)
        assert list(await heir.leases.reap()) == ["other"]
        # However late it is: what the dead one had sent is not stored any more.
        await refused(gone.commit(Batch(runs=(sample_run(labels={"late": "yes"}),))))
        for journal in (stranger, heir, gone):
            await journal.close()

    asyncio.run(body())
