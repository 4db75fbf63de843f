"""What cannot be stored is refused by itself, and nothing of it is there."""

import asyncio
from pathlib import Path

from volant.model.errors import BatchRefusedError
from volant.model.ids import ActionId, RunId, SpecDigest
from volant.model.phases import ActionPhase
from volant.model.records import Batch, SpecRecord
from volant.ports.journal import Journal
from volant.testing.journal.opening import Opening
from volant.testing.journal.samples import (
    START,
    refused,
    sample_action,
    sample_attempt,
    sample_change,
    sample_run,
)


class Refusing(Opening):
    """What cannot be stored is refused by itself, and nothing of it is there."""

    def test_rooted_rows_of_a_run_that_is_not_there_are_refused_alone(self, tmp_path: Path) -> None:
        async def body(journal: Journal) -> None:
            orphans = [
                journal.commit(Batch(actions=(sample_action(1, run="nowhere"),))),
                journal.commit(Batch(attempts=(sample_attempt(1, run="nowhere"),))),
                journal.commit(Batch(changes=(sample_change(1, run="nowhere"),))),
                journal.commit(Batch(runs=(sample_run(),), attempts=(sample_attempt(1),))),
            ]
            fine = journal.commit(Batch(runs=(sample_run("fine"),)))
            for orphan in orphans:
                assert "not in the journal" in str(await refused(orphan, BatchRefusedError))
            await fine
            assert await journal.run(RunId("r1")) is None
            assert list(await journal.actions(RunId("nowhere"))) == []

        self._with(tmp_path, body)

    def test_a_batch_with_a_value_that_cannot_be_stored_is_refused_alone(self, tmp_path: Path) -> None:
        async def body(journal: Journal) -> None:
            await journal.commit(Batch(runs=(sample_run(),), actions=(sample_action(1),)))
            before = journal.commit(Batch(actions=(sample_action(2),), changes=(sample_change(1),)))
            naive = journal.commit(Batch(runs=(sample_run("naive", created_at=START.replace(tzinfo=None)),)))
            short = journal.commit(
                Batch(actions=(sample_action(3, action=ActionId("a1")),), changes=(sample_change(2),))
            )
            after = journal.commit(Batch(actions=(sample_action(1, phase=ActionPhase.RUNNING),)))
            assert "cannot be stored" in str(await refused(naive, BatchRefusedError))
            assert "32 lower-case hex digits" in str(await refused(short, BatchRefusedError))
            await before
            await after
            # Nothing remembers what was refused: neither the run nor the change.
            await refused(journal.commit(Batch(changes=(sample_change(1, run="naive"),))))
            await journal.commit(Batch(changes=(sample_change(2),)))
            assert await journal.run(RunId("naive")) is None
            found = [action for _, action in await journal.actions(RunId("r1"))]
            assert found == [sample_action(1, phase=ActionPhase.RUNNING), sample_action(2)]
            assert [change.seq for change in await journal.changes(RunId("r1"))] == [1, 2]

        self._with(tmp_path, body)

    def test_of_a_batch_with_text_that_cannot_be_stored_nothing_is_there(self, tmp_path: Path) -> None:
        spec = SpecRecord(spec=SpecDigest("5" * 64), body=b"s")

        async def body(journal: Journal) -> None:
            await journal.commit(Batch(runs=(sample_run(),), actions=(sample_action(1),)))
            broken = Batch(
                specs=(spec,),
                runs=(sample_run("new"), sample_run(token=9)),
                actions=(sample_action(1, group="g"), sample_action(2, task="\ud800")),
            )
            before = journal.commit(Batch(changes=(sample_change(1),)))
            assert "cannot be stored" in str(await refused(journal.commit(broken), BatchRefusedError))
            await before
            assert await journal.spec(spec.spec) is None
            assert await journal.run(RunId("new")) is None
            assert await journal.run(RunId("r1")) == sample_run()
            assert [action for _, action in await journal.actions(RunId("r1"))] == [sample_action(1)]
            await journal.commit(Batch(changes=(sample_change(2),)))

        self._with(tmp_path, body)

    def test_after_close_nothing_is_taken_or_answered(self, tmp_path: Path) -> None:
        async def body() -> None:
            journal = await self.open(tmp_path)
            last = journal.commit(Batch(runs=(sample_run(),)))
            await journal.close()
            await last
            assert "closed" in str(await refused(journal.commit(Batch(runs=(sample_run("late"),)))))
            assert "closed" in str(await refused(journal.run(RunId("r1"))))
            await journal.close()

        asyncio.run(body())
