"""What is stored comes back as it was, and is there when it is opened again."""

from datetime import timedelta, timezone
from pathlib import Path

from volant.model.failures import Failure, FailureKind
from volant.model.ids import RunId, SpecDigest
from volant.model.payloads import Blob, Inline
from volant.model.phases import ActionPhase
from volant.model.records import ActionRecord, Batch, ChangeKind, RunRecord, SpecRecord
from volant.ports.journal import Journal, RunFilter
from volant.testing.journal.opening import Opening
from volant.testing.journal.samples import START, action_id, sample_action, sample_attempt, sample_change, sample_run


class Storing(Opening):
    """What is stored comes back as it was, and is there when it is opened again."""

    def test_every_field_of_every_record_comes_back(self, tmp_path: Path) -> None:
        failure = Failure(
            kind=FailureKind.USER,
            code="ValueError",
            message="no such carrier: 'ZZ' ✈",
            traceback="Traceback...",
            exception=b"\x00\xff",
            retryable=False,
            attempts=3,
            action=action_id(1),
            task="flights.delays",
        )
        later = START + timedelta(days=400, microseconds=1)
        run = sample_run(
            phase=ActionPhase.FAILED,
            ended_at=later,
            mode="inline",
            labels={"team": "ops", "": "empty"},
            annotations={"note": "é\n"},
            options=bytes(range(256)),
            bundle="00ff" * 16,
            owner="engine-1",
            token=7,
            failure=failure,
            blobs="file:///srv/blobs",
        )
        action = sample_action(
            1,
            phase=ActionPhase.FAILED,
            spec=SpecDigest("not-hex"),
            inputs=Blob(digest="ab" * 32, size=1 << 40),
            inputs_digest="AB" * 32,
            group="carriers",
            parent_failures=1,
            attempts=2,
            user_failures=3,
            lost=4,
            started_at=later,
            ended_at=later,
            outcome_seq=5,
            outputs=Inline(data=b"\xc1"),
            failure=failure,
            reused_from=RunId("r0"),
        )
        attempt = sample_attempt(
            1,
            2,
            phase=ActionPhase.TIMED_OUT,
            launcher="ray",
            host="node-7",
            pid=4242,
            started_at=later,
            ended_at=later,
            exit_status="signal 9",
            cpu_seconds=1.5,
            peak_memory=1 << 35,
            log="logs/r1/1.log",
            failure=failure,
        )
        change = sample_change(
            1,
            kind=ChangeKind.ATTEMPT_ENDED,
            at=later,
            phase=ActionPhase.ABORTED,
            action=action_id(1),
            parent=action_id(0),
            name="delays",
            attempt=2,
            message="lost",
        )
        spec = SpecRecord(spec=SpecDigest("aa" * 32), body=b"\x80")

        async def body(journal: Journal) -> None:
            await journal.commit(
                Batch(runs=(run,), actions=(action,), attempts=(attempt,), changes=(change,), specs=(spec,))
            )
            assert await journal.run(run.run) == run
            assert await journal.action(run.run, action.action) == action
            assert list(await journal.attempts(run.run, action.action)) == [attempt]
            assert list(await journal.changes(run.run)) == [change]
            assert await journal.spec(spec.spec) == spec

        self._with(tmp_path, body)
        self._with(tmp_path, lambda journal: self._assert_stored(journal, run, action))

    async def _assert_stored(self, journal: Journal, run: RunRecord, action: ActionRecord) -> None:
        assert await journal.run(run.run) == run
        assert await journal.action(action.run, action.action) == action

    def test_every_phase_and_every_kind_of_change_comes_back(self, tmp_path: Path) -> None:
        async def body(journal: Journal) -> None:
            actions = tuple(sample_action(number, phase=phase) for number, phase in enumerate(ActionPhase, start=1))
            changes = tuple(sample_change(seq, kind=kind) for seq, kind in enumerate(ChangeKind, start=1))
            await journal.commit(Batch(runs=(sample_run(),), actions=actions, changes=changes))
            assert [action for _, action in await journal.actions(RunId("r1"))] == list(actions)
            assert list(await journal.changes(RunId("r1"))) == list(changes)

        self._with(tmp_path, body)

    def test_an_instant_of_another_zone_is_the_same_instant(self, tmp_path: Path) -> None:
        async def body(journal: Journal) -> None:
            zone = timezone(timedelta(hours=-5, minutes=-30))
            await journal.commit(Batch(runs=(sample_run(created_at=START.astimezone(zone)),)))
            found = await journal.run(RunId("r1"))
            assert found is not None
            assert found.created_at == START
            assert found.created_at.utcoffset() == timedelta(0)

        self._with(tmp_path, body)

    def test_durable_what_was_told_is_there_when_opened_again(self, tmp_path: Path) -> None:
        async def write(journal: Journal) -> None:
            for seq in range(1, 6):
                await journal.commit(Batch(runs=(sample_run(token=seq),), changes=(sample_change(seq),)))

        async def read(journal: Journal) -> None:
            assert await journal.run(RunId("r1")) == sample_run(token=5)
            assert await journal.last_seq(RunId("r1")) == 5
            assert await journal.last_seq(RunId("r2")) == 0
            assert [change.seq for change in await journal.changes(RunId("r1"))] == [1, 2, 3, 4, 5]

        self._with(tmp_path, write)
        self._with(tmp_path, read)

    def test_a_batch_that_nobody_awaits_is_stored(self, tmp_path: Path) -> None:
        async def write(journal: Journal) -> None:
            journal.commit(Batch(runs=(sample_run(),)))

        async def read(journal: Journal) -> None:
            assert await journal.run(RunId("r1")) == sample_run()

        self._with(tmp_path, write)
        self._with(tmp_path, read)

    def test_whole_rows_a_row_given_again_replaces_the_stored_one(self, tmp_path: Path) -> None:
        async def body(journal: Journal) -> None:
            full = sample_run(labels={"team": "ops"}, owner="engine-1", ended_at=START)
            await journal.commit(Batch(runs=(full,), actions=(sample_action(1, group="g", outcome_seq=3),)))
            await journal.commit(Batch(attempts=(sample_attempt(1, host="a", pid=1),)))
            bare = sample_run(task="other.main", age=9)
            await journal.commit(
                Batch(runs=(bare,), actions=(sample_action(1, parent=2),), attempts=(sample_attempt(1),))
            )
            assert await journal.run(RunId("r1")) == bare
            assert await journal.action(RunId("r1"), action_id(1)) == sample_action(1, parent=2)
            assert list(await journal.attempts(RunId("r1"), action_id(1))) == [sample_attempt(1)]
            assert list(await journal.runs(RunFilter(labels=(("team", "ops"),)))) == []

        self._with(tmp_path, body)

    def test_of_several_rows_for_one_thing_in_a_batch_the_last_wins(self, tmp_path: Path) -> None:
        async def body(journal: Journal) -> None:
            await journal.commit(
                Batch(
                    runs=(sample_run(token=1), sample_run(token=2)),
                    actions=(sample_action(1), sample_action(2), sample_action(1, phase=ActionPhase.FAILED)),
                    attempts=(sample_attempt(1, pid=1), sample_attempt(1, pid=2)),
                )
            )
            assert await journal.run(RunId("r1")) == sample_run(token=2)
            found = [action for _, action in await journal.actions(RunId("r1"))]
            assert found == [sample_action(1, phase=ActionPhase.FAILED), sample_action(2)]
            assert list(await journal.attempts(RunId("r1"), action_id(1))) == [sample_attempt(1, pid=2)]

        self._with(tmp_path, body)
