"""The laws of `volant.ports.leases.Leases`, as tests for every adapter.

Derive a test class from `LeaseConformance` and say how an owner opens a journal, and how a lease runs out.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from volant.model.errors import BatchRefusedError, JournalError, RunNotFoundError
from volant.model.ids import RunId
from volant.model.phases import ActionPhase
from volant.model.records import Batch
from volant.ports.journal import Journal
from volant.ports.leases import Lease, Leases, OwnedElsewhere
from volant.testing.journal import refused, sample_action, sample_change, sample_run

R1 = RunId("r1")
DONE = ActionPhase.SUCCEEDED


class Owner(NamedTuple):
    """A journal and the leases that it heeds."""

    journal: Journal
    leases: Leases


class LeaseConformance(ABC):
    """The promises of the port, one test each."""

    @abstractmethod
    async def open(self, place: Path, owner: str) -> Owner:
        """Open the journal of *place*, a folder of this test's own, for *owner*."""

    @abstractmethod
    async def run_out(self, place: Path, run: RunId) -> None:
        """Let so much time pass, on the store's clock, that the lease of *run* has run out."""

    def _with(self, place: Path, body: Callable[[Owner, Owner], Awaitable[None]]) -> None:
        async def opened() -> None:
            async with AsyncExitStack() as stack:
                owners: list[Owner] = []
                for name in ("a", "b"):
                    owner = await self.open(place, name)
                    stack.push_async_callback(owner.journal.close)
                    owners.append(owner)
                await body(*owners)

        asyncio.run(opened())

    def test_born_owned_a_run_belongs_to_who_commits_it(self, tmp_path: Path) -> None:
        async def body(a: Owner, b: Owner) -> None:
            await a.journal.commit(Batch(runs=(sample_run(),)))
            assert await a.leases.acquire(R1) == Lease(run=R1, owner="a", token=1)
            answer = await b.leases.acquire(R1)
            assert isinstance(answer, OwnedElsewhere)
            assert (answer.run, answer.owner) == (R1, "a")
            assert timedelta(0) < answer.remaining <= a.leases.duration

        self._with(tmp_path, body)

    def test_born_owned_a_run_that_ended_belongs_to_nobody(self, tmp_path: Path) -> None:
        async def body(a: Owner, b: Owner) -> None:
            await a.journal.commit(Batch(runs=(sample_run(),)))
            await a.journal.commit(Batch(runs=(sample_run(phase=DONE),)))
            await a.journal.commit(Batch(runs=(sample_run("short", phase=DONE),)))
            assert list(await b.leases.reap()) == []
            for run in (R1, RunId("short")):
                lease = await b.leases.acquire(run)
                assert isinstance(lease, Lease)
                assert lease.token > 1
            assert list(await a.leases.extend()) == []

        self._with(tmp_path, body)

    def test_born_owned_one_that_nobody_owns_belongs_to_who_commits_a_row_of_it(self, tmp_path: Path) -> None:
        async def body(a: Owner, b: Owner) -> None:
            await a.journal.commit(Batch(runs=(sample_run(),), changes=(sample_change(1),)))
            await a.leases.release(R1)
            await b.journal.commit(Batch(changes=(sample_change(2),)))
            answer = await a.leases.acquire(R1)
            assert isinstance(answer, OwnedElsewhere)
            assert answer.owner == "b"

        self._with(tmp_path, body)

    def test_exclusive_of_several_that_acquire_at_once_one_succeeds(self, tmp_path: Path) -> None:
        async def body(a: Owner, b: Owner) -> None:
            await a.journal.commit(Batch(runs=(sample_run(),)))
            await a.leases.release(R1)
            answers = await asyncio.gather(*(owner.leases.acquire(R1) for owner in (a, b)))
            assert sorted(isinstance(answer, Lease) for answer in answers) == [False, True]

        self._with(tmp_path, body)

    def test_exclusive_a_name_that_two_commit_at_once_belongs_to_one(self, tmp_path: Path) -> None:
        async def body(a: Owner, b: Owner) -> None:
            for number in range(10):
                receipts = [
                    owner.journal.commit(
                        Batch(runs=(sample_run(f"r{number}"), sample_run(f"{owner.leases.owner}{number}")))
                    )
                    for owner in (a, b)
                ]
                outcomes = await asyncio.gather(*receipts, return_exceptions=True)
                assert sorted(not isinstance(outcome, JournalError) for outcome in outcomes) == [False, True]

        self._with(tmp_path, body)

    def test_not_stolen_while_it_has_not_run_out(self, tmp_path: Path) -> None:
        async def body(a: Owner, b: Owner) -> None:
            await a.journal.commit(Batch(runs=(sample_run(),), changes=(sample_change(1),)))
            assert list(await a.leases.extend()) == []
            assert isinstance(await b.leases.acquire(R1), OwnedElsewhere)
            error = await refused(b.journal.commit(Batch(changes=(sample_change(2),))), BatchRefusedError)
            assert "belongs to engine 'a'" in str(error)
            await refused(b.journal.delete_run(R1))
            assert list(await b.leases.reap()) == []
            await a.journal.commit(Batch(changes=(sample_change(2),)))
            assert [change.seq for change in await b.journal.changes(R1)] == [1, 2]

        self._with(tmp_path, body)

    def test_taken_over_once_it_has_run_out(self, tmp_path: Path) -> None:
        async def body(a: Owner, b: Owner) -> None:
            await a.journal.commit(Batch(runs=(sample_run(),), changes=(sample_change(1),)))
            await self.run_out(tmp_path, R1)
            assert list(await b.leases.reap()) == [R1]
            # Writing alone takes nothing from an owner that may only be late.
            await refused(b.journal.commit(Batch(changes=(sample_change(2),))))
            assert await b.leases.acquire(R1) == Lease(run=R1, owner="b", token=2)
            await b.journal.commit(Batch(changes=(sample_change(2),)))
            assert list(await b.leases.reap()) == []
            assert isinstance(await a.leases.acquire(R1), OwnedElsewhere)

        self._with(tmp_path, body)

    def test_taken_over_at_once_when_it_was_released_or_its_journal_closed(self, tmp_path: Path) -> None:
        async def body(a: Owner, b: Owner) -> None:
            await a.journal.commit(Batch(runs=(sample_run(), sample_run("r2", age=-1))))
            await a.leases.release(R1)
            await a.leases.release(R1)
            assert list(await b.leases.reap()) == [R1]
            assert isinstance(await b.leases.acquire(R1), Lease)
            await a.journal.close()
            assert list(await b.leases.reap()) == [RunId("r2")]
            assert isinstance(await b.leases.acquire(RunId("r2")), Lease)

        self._with(tmp_path, body)

    def test_fenced_nothing_of_an_earlier_owner_is_stored(self, tmp_path: Path) -> None:
        async def body(a: Owner, b: Owner) -> None:
            await a.journal.commit(
                Batch(runs=(sample_run(), sample_run("mine")), actions=(sample_action(1),), changes=(sample_change(1),))
            )
            await self.run_out(tmp_path, R1)
            await b.leases.acquire(R1)
            before = a.journal.commit(Batch(changes=(sample_change(1, run="mine"),)))
            late = [
                a.journal.commit(Batch(runs=(sample_run(phase=DONE),))),
                a.journal.commit(Batch(actions=(sample_action(1, phase=DONE),))),
                a.journal.commit(Batch(changes=(sample_change(2, run="mine"), sample_change(2)))),
            ]
            after = a.journal.commit(Batch(changes=(sample_change(2, run="mine"),)))
            for receipt in late:
                assert "r1" in str(await refused(receipt, BatchRefusedError))
            await before
            await after
            assert await b.journal.run(R1) == sample_run()
            assert [action for _, action in await b.journal.actions(R1)] == [sample_action(1)]
            assert [change.seq for change in await b.journal.changes(R1)] == [1]
            assert len(await b.journal.changes(RunId("mine"))) == 2

        self._with(tmp_path, body)

    def test_fenced_until_it_acquires_again_though_nobody_has_the_run_any_more(self, tmp_path: Path) -> None:
        async def body(a: Owner, b: Owner) -> None:
            await a.journal.commit(Batch(runs=(sample_run(),), changes=(sample_change(1),)))
            await self.run_out(tmp_path, R1)
            await b.leases.acquire(R1)
            await b.journal.commit(Batch(changes=(sample_change(2), sample_change(3))))
            assert list(await a.leases.extend()) == [R1]
            assert list(await a.leases.extend()) == []
            await b.leases.release(R1)
            await refused(a.journal.commit(Batch(changes=(sample_change(4),))))
            await refused(b.journal.commit(Batch(changes=(sample_change(4),))))
            assert await a.leases.acquire(R1) == Lease(run=R1, owner="a", token=3)
            await refused(a.journal.commit(Batch(changes=(sample_change(2),))))
            await a.journal.commit(Batch(changes=(sample_change(4),)))

        self._with(tmp_path, body)

    def test_fenced_though_whoever_took_the_run_over_has_released_it(self, tmp_path: Path) -> None:
        async def body(a: Owner, b: Owner) -> None:
            await a.journal.commit(Batch(runs=(sample_run(),), actions=(sample_action(1),)))
            await self.run_out(tmp_path, R1)
            await b.leases.acquire(R1)
            await b.leases.release(R1)
            assert "r1" in str(await refused(a.journal.commit(Batch(actions=(sample_action(1, phase=DONE),)))))
            assert list(await b.leases.reap()) == [R1]

        self._with(tmp_path, body)

    def test_fenced_what_others_wrote_meanwhile_is_known_to_who_acquires_again(self, tmp_path: Path) -> None:
        async def body(a: Owner, b: Owner) -> None:
            await a.journal.commit(Batch(runs=(sample_run(),), changes=(sample_change(1),)))
            await self.run_out(tmp_path, R1)
            await b.leases.acquire(R1)
            await b.journal.commit(Batch(actions=(sample_action(1),), changes=(sample_change(2),)))
            await b.leases.release(R1)
            assert isinstance(await a.leases.acquire(R1), Lease)
            await a.journal.commit(Batch(actions=(sample_action(2), sample_action(1)), changes=(sample_change(3),)))
            listed = [action for _, action in await b.journal.actions(R1)]
            assert listed == [sample_action(1), sample_action(2)]

        self._with(tmp_path, body)

    def test_growing_every_acquisition_has_a_greater_token(self, tmp_path: Path) -> None:
        async def body(a: Owner, b: Owner) -> None:
            await a.journal.commit(Batch(runs=(sample_run(),)))
            tokens = [1]
            for owner in (b, a, a, b, a):
                await self.run_out(tmp_path, R1)
                lease = await owner.leases.acquire(R1)
                assert isinstance(lease, Lease)
                assert lease.token > tokens[-1] or owner is a
                assert lease.token >= tokens[-1]
                tokens.append(lease.token)
                assert await owner.leases.acquire(R1) == lease
            assert tokens == [1, 2, 3, 3, 4, 5]

        self._with(tmp_path, body)

    def test_late_is_not_lost(self, tmp_path: Path) -> None:
        async def body(a: Owner, b: Owner) -> None:
            await a.journal.commit(Batch(runs=(sample_run(),), changes=(sample_change(1),)))
            await self.run_out(tmp_path, R1)
            await a.journal.commit(Batch(changes=(sample_change(2),)))
            assert list(await b.leases.reap()) == [R1]
            assert list(await a.leases.extend()) == []
            assert list(await b.leases.reap()) == []
            assert isinstance(await b.leases.acquire(R1), OwnedElsewhere)
            await a.journal.commit(Batch(changes=(sample_change(3),)))

        self._with(tmp_path, body)

    def test_runs_that_nobody_owns_are_told_oldest_first(self, tmp_path: Path) -> None:
        async def body(a: Owner, b: Owner) -> None:
            names = [f"r{number}" for number in range(5)]
            await a.journal.commit(Batch(runs=tuple(sample_run(name, age=-age) for age, name in enumerate(names))))
            for name in ("r1", "r4", "r3"):
                await self.run_out(tmp_path, RunId(name))
            assert list(await b.leases.reap()) == ["r4", "r3", "r1"]
            assert list(await a.leases.reap()) == ["r4", "r3", "r1"]

        self._with(tmp_path, body)

    def test_a_run_that_is_not_there_cannot_be_owned(self, tmp_path: Path) -> None:
        async def body(a: Owner, b: Owner) -> None:
            assert "nowhere" in str(await refused(a.leases.acquire(RunId("nowhere")), RunNotFoundError))
            await a.leases.release(RunId("nowhere"))
            await a.journal.commit(Batch(runs=(sample_run(),)))
            assert await a.journal.delete_run(R1) is True
            await refused(b.leases.acquire(R1), RunNotFoundError)
            assert list(await a.leases.extend()) == []
            await b.journal.commit(Batch(runs=(sample_run(),)))
            assert isinstance(await a.leases.acquire(R1), OwnedElsewhere)

        self._with(tmp_path, body)
