"""Batches follow one another without gaps, each run by itself."""

import asyncio
from collections.abc import Awaitable
from pathlib import Path

from volant.model.errors import BatchRefusedError
from volant.model.ids import RunId, SpecDigest
from volant.model.phases import ActionPhase
from volant.model.records import Batch, SpecRecord
from volant.ports.journal import Journal, RunFilter
from volant.testing.journal.opening import Opening
from volant.testing.journal.samples import action_id, refused, sample_action, sample_change, sample_run


class Ordering(Opening):
    """Batches follow one another without gaps, each run by itself."""

    def test_ordered_a_later_batch_wins_and_is_told_no_earlier(self, tmp_path: Path) -> None:
        async def body(journal: Journal) -> None:
            first = journal.commit(Batch(runs=(sample_run(),), actions=(sample_action(1),)))
            second = journal.commit(Batch(actions=(sample_action(1, phase=ActionPhase.RUNNING),)))
            third = journal.commit(Batch(actions=(sample_action(1, phase=ActionPhase.SUCCEEDED),)))
            await third
            assert await journal.action(RunId("r1"), action_id(1)) == sample_action(1, phase=ActionPhase.SUCCEEDED)
            await first
            await second

        self._with(tmp_path, body)

    def test_gap_free_a_batch_that_leaves_a_gap_is_refused_alone(self, tmp_path: Path) -> None:
        async def body(journal: Journal) -> None:
            await journal.commit(Batch(runs=(sample_run(),), changes=(sample_change(1),)))
            before = journal.commit(Batch(changes=(sample_change(2),)))
            gap = journal.commit(Batch(runs=(sample_run(token=9),), changes=(sample_change(4),)))
            again = journal.commit(
                Batch(specs=(SpecRecord(spec=SpecDigest("a"), body=b""),), changes=(sample_change(2),))
            )
            after = journal.commit(Batch(changes=(sample_change(3),)))
            await before
            assert "change 3 is next" in str(await refused(gap, BatchRefusedError))
            assert "change 3 is next" in str(await refused(again, BatchRefusedError))
            await after
            assert await journal.run(RunId("r1")) == sample_run()
            assert await journal.spec(SpecDigest("a")) is None
            assert [change.seq for change in await journal.changes(RunId("r1"))] == [1, 2, 3]

        self._with(tmp_path, body)

    def test_gap_free_holds_across_opening_again_and_the_end_of_a_run(self, tmp_path: Path) -> None:
        async def write(journal: Journal) -> None:
            await journal.commit(Batch(runs=(sample_run(),), changes=(sample_change(1), sample_change(2))))
            await journal.commit(Batch(runs=(sample_run(phase=ActionPhase.SUCCEEDED),), changes=(sample_change(3),)))
            await refused(journal.commit(Batch(changes=(sample_change(5),))))

        async def write_more(journal: Journal) -> None:
            await refused(journal.commit(Batch(changes=(sample_change(1),))))
            await journal.commit(Batch(changes=(sample_change(4),)))
            assert [change.seq for change in await journal.changes(RunId("r1"))] == [1, 2, 3, 4]

        self._with(tmp_path, write)
        self._with(tmp_path, write_more)

    def test_gap_free_counts_each_run_by_itself(self, tmp_path: Path) -> None:
        async def body(journal: Journal) -> None:
            await journal.commit(
                Batch(
                    runs=(sample_run("a"), sample_run("b")),
                    changes=(sample_change(1, run="a"), sample_change(1, run="b"), sample_change(2, run="a")),
                )
            )
            await journal.commit(Batch(changes=(sample_change(2, run="b"), sample_change(3, run="a"))))
            assert [change.seq for change in await journal.changes(RunId("a"))] == [1, 2, 3]
            assert [change.seq for change in await journal.changes(RunId("b"))] == [1, 2]

        self._with(tmp_path, body)

    def test_cancelling_who_awaits_a_commit_does_not_cancel_the_commit(self, tmp_path: Path) -> None:
        async def body(journal: Journal) -> None:
            receipts: list[Awaitable[None]] = []

            async def wait() -> None:
                if not receipts:
                    receipts.append(journal.commit(Batch(runs=(sample_run(),))))
                await receipts[0]

            tasks = [asyncio.create_task(wait()) for _ in range(2)]
            await asyncio.sleep(0)
            tasks[0].cancel()
            first, second = await asyncio.gather(*tasks, return_exceptions=True)
            assert isinstance(first, asyncio.CancelledError)
            assert second is None
            assert await journal.run(RunId("r1")) == sample_run()

        self._with(tmp_path, body)

    def test_an_empty_batch_is_done_in_its_turn(self, tmp_path: Path) -> None:
        async def body(journal: Journal) -> None:
            journal.commit(Batch(runs=(sample_run(),)))
            await journal.commit(Batch())
            assert await journal.run(RunId("r1")) == sample_run()

        self._with(tmp_path, body)

    def test_read_your_commits_between_lists_that_are_being_read(self, tmp_path: Path) -> None:
        async def body(journal: Journal) -> None:
            actions = tuple(sample_action(number) for number in range(2000))
            await journal.commit(Batch(runs=(sample_run(),), actions=actions))
            listing = asyncio.create_task(self._list(journal))
            for token in range(1, 20):
                await journal.commit(Batch(runs=(sample_run(token=token),)))
                assert await journal.run(RunId("r1")) == sample_run(token=token)
                assert (await journal.runs(RunFilter()))[0].token == token
            assert await listing == 2000

        self._with(tmp_path, body)

    async def _list(self, journal: Journal) -> int:
        return len(await journal.actions(RunId("r1"), limit=5000))
