"""What is deleted is gone, with all that belongs to it."""

from pathlib import Path

from volant.model.ids import RunId
from volant.model.records import Batch
from volant.ports.journal import Journal, RunFilter
from volant.testing.journal.opening import Opening
from volant.testing.journal.samples import action_id, refused, sample_action, sample_attempt, sample_change, sample_run


class Deleting(Opening):
    """What is deleted is gone, with all that belongs to it."""

    def test_a_deleted_run_is_forgotten_with_all_that_belongs_to_it(self, tmp_path: Path) -> None:
        def batch(name: str) -> Batch:
            return Batch(
                runs=(sample_run(name, labels={"team": "ops"}),),
                actions=tuple(sample_action(number, run=name) for number in range(600)),
                attempts=tuple(sample_attempt(number, run=name) for number in range(600)),
                changes=tuple(sample_change(seq, run=name) for seq in range(1, 1001)),
            )

        async def write(journal: Journal) -> None:
            for name in ("r1", "r2", "r3"):
                await journal.commit(batch(name))
            assert await journal.delete_run(RunId("r2")) is True
            assert await journal.delete_run(RunId("r2")) is False
            await refused(journal.commit(Batch(changes=(sample_change(1001, run="r2"),))))
            await refused(journal.commit(Batch(attempts=(sample_attempt(1, run="r2"),))))
            await check(journal)

        async def check(journal: Journal) -> None:
            assert await journal.run(RunId("r2")) is None
            assert await journal.count_actions(RunId("r2")) == {}
            assert list(await journal.attempts(RunId("r2"), action_id(1))) == []
            assert [run.run for run in await journal.runs(RunFilter())] == ["r3", "r1"]
            assert [run.run for run in await journal.runs(RunFilter(labels=(("team", "ops"),)))] == ["r3", "r1"]
            for name in ("r1", "r3"):
                assert len(await journal.actions(RunId(name))) == 600
                assert len(await journal.attempts(RunId(name), action_id(599))) == 1
                assert len(await journal.changes(RunId(name))) == 1000

        async def write_again(journal: Journal) -> None:
            await check(journal)
            await refused(journal.commit(Batch(changes=(sample_change(1001, run="r2"),))))
            await journal.commit(
                Batch(
                    runs=(sample_run("r2"),),
                    actions=(sample_action(9, run="r2"),),
                    changes=(sample_change(1, run="r2"),),
                )
            )
            assert [action for _, action in await journal.actions(RunId("r2"))] == [sample_action(9, run="r2")]
            assert len(await journal.changes(RunId("r2"))) == 1
            assert list(await journal.runs(RunFilter(labels=(("team", "ops"),), before=RunId("r2")))) == [
                sample_run("r1", labels={"team": "ops"})
            ]

        self._with(tmp_path, write)
        self._with(tmp_path, write_again)

    def test_a_deletion_comes_after_what_was_given_before_it(self, tmp_path: Path) -> None:
        async def body(journal: Journal) -> None:
            journal.commit(Batch(runs=(sample_run(),), changes=(sample_change(1),)))
            assert await journal.delete_run(RunId("r1")) is True
            assert await journal.run(RunId("r1")) is None

        self._with(tmp_path, body)
