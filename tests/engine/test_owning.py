"""Owning runs: nobody goes on with what is another's, and what was lost is heard of."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest

from volant.engine.owning import Term, keep, own
from volant.journal.sole_leases import SoleLeases
from volant.model.errors import EngineError, JournalError
from volant.model.ids import RunId
from volant.model.records import Batch
from volant.testing.journal import sample_run
from volant.testing.memory_journal import MemoryJournal, MemoryStore
from volant.testing.memory_leases import MemoryLeases

R1 = RunId("r1")


def test_a_run_of_another_engine_is_refused_until_its_lease_has_run_out() -> None:
    async def body() -> None:
        store = MemoryStore()
        first, second = MemoryLeases(store, owner="first"), MemoryLeases(store, owner="second")
        journal = MemoryJournal(store, leases=first)
        record = sample_run(owner="first", token=1)
        await journal.commit(Batch(runs=(record,)))
        assert await own(first, record) == record
        with pytest.raises(EngineError, match=r"belongs to engine first, whose lease lasts another (29|30) s") as info:
            await own(second, record)
        assert "when the lease has run out" in str(info.value.hint)
        store.leases[R1].until = store.now()
        assert await own(second, record) == sample_run(owner="second", token=2)

    asyncio.run(body())


class ForgetfulLeases(SoleLeases):
    """Leases of a store that does not answer at first, and then tells of a loss."""

    def __init__(self, duration: timedelta) -> None:
        super().__init__(MemoryJournal(), owner="me")
        self.answers: list[Sequence[RunId] | JournalError] = [(), JournalError("away"), (), (R1,)]
        self._duration = duration

    @property
    def duration(self) -> timedelta:
        return self._duration

    async def extend(self) -> Sequence[RunId]:
        answer = self.answers.pop(0)
        if isinstance(answer, JournalError):
            raise answer
        return answer


def test_leases_are_extended_though_the_store_was_away_and_a_loss_is_told() -> None:
    async def body() -> None:
        leases = ForgetfulLeases(timedelta(milliseconds=3))
        lost: asyncio.Future[Sequence[RunId]] = asyncio.get_running_loop().create_future()
        keeping = asyncio.create_task(keep(leases, lost=lost.set_result))
        assert await lost == (R1,)
        assert leases.answers == []
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)

    asyncio.run(body())


def test_leases_that_never_run_out_are_left_alone() -> None:
    async def body() -> None:
        await keep(SoleLeases(MemoryJournal(), owner="me"), lost=pytest.fail)

    asyncio.run(body())


def test_an_engine_that_slept_for_a_lease_is_not_sure_of_its_runs_until_it_has_asked() -> None:
    async def body() -> None:
        now = 100.0
        leases = ForgetfulLeases(timedelta(seconds=3))
        term = Term(leases.duration, seconds=lambda: now)
        assert term.is_sure
        now += 3
        assert not term.is_sure
        assert await term.extend(leases) == ()
        assert term.is_sure
        now += 2.9
        with pytest.raises(JournalError):
            await term.extend(leases)
        assert term.is_sure
        now += 0.1
        assert not term.is_sure

    asyncio.run(body())


def test_who_becomes_sure_again_is_told() -> None:
    async def body() -> None:
        now = 100.0
        leases = ForgetfulLeases(timedelta(milliseconds=3))
        leases.answers = [(), (), (R1,)]
        term = Term(leases.duration, seconds=lambda: now)
        now += 1
        sure: list[bool] = []
        lost: asyncio.Future[Sequence[RunId]] = asyncio.get_running_loop().create_future()
        keeping = asyncio.ensure_future(
            keep(leases, lost=lost.set_result, term=term, sure=lambda: sure.append(term.is_sure))
        )
        assert await lost == (R1,)
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        assert sure == [True]

    asyncio.run(body())
