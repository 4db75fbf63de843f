"""The journal in memory keeps the port's laws, so that what passes with it passes with a database."""

import asyncio
from pathlib import Path

import pytest

from volant.model.errors import JournalError
from volant.model.ids import RunId
from volant.model.records import Batch
from volant.testing.journal import JournalConformance, refused, sample_change, sample_run
from volant.testing.memory_journal import MemoryJournal, MemoryStore


class TestMemoryJournal(JournalConformance):
    @pytest.fixture(autouse=True)
    def _stores(self) -> None:
        self.stores: dict[Path, MemoryStore] = {}

    async def open(self, place: Path) -> MemoryJournal:
        return MemoryJournal(self.stores.setdefault(place, MemoryStore()))


def test_a_held_commit_is_durable_only_when_released() -> None:
    async def body() -> None:
        journal = MemoryJournal()
        journal.hold()
        receipt = journal.commit(Batch(runs=(sample_run(),)))
        for _ in range(3):
            await asyncio.sleep(0)
        assert not receipt.done
        assert await journal.run(RunId("r1")) is None
        assert await MemoryJournal(journal.store).run(RunId("r1")) is None
        journal.release()
        await receipt
        assert await MemoryJournal(journal.store).run(RunId("r1")) == sample_run()

    asyncio.run(body())


def test_a_failed_journal_stores_nothing_more() -> None:
    async def body() -> None:
        journal = MemoryJournal()
        await journal.commit(Batch(runs=(sample_run(),)))
        waiting = journal.commit(Batch(changes=(sample_change(1),)))
        journal.fail(JournalError("the disk is full"))
        assert "full" in str(await refused(waiting))
        assert "full" in str(await refused(journal.commit(Batch(changes=(sample_change(1),)))))
        assert list(await journal.changes(RunId("r1"))) == []
        await journal.close()

    asyncio.run(body())
