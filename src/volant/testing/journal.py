"""The laws of `volant.ports.journal.Journal`, as tests for every adapter.

Derive a test class from `JournalConformance` and say how a journal is opened::

    class TestMine(JournalConformance):
        async def open(self, place: Path) -> Journal:
            return await MyJournal.open(place / "journal.db")

Opening the same place again must find what an earlier journal there had stored.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import msgspec

from volant.model.errors import BatchRefusedError, JournalError, RunNotFoundError, VolantError
from volant.model.failures import Failure, FailureKind
from volant.model.ids import ActionId, RunId, SpecDigest
from volant.model.payloads import Blob, Inline
from volant.model.phases import ActionPhase
from volant.model.records import (
    ActionRecord,
    AttemptRecord,
    Batch,
    Change,
    ChangeKind,
    RunRecord,
    SpecRecord,
)
from volant.ports.journal import Journal, RunFilter

START = datetime(2024, 2, 29, 12, 30, 15, 123456, tzinfo=UTC)
"""An instant with microseconds, from which the samples count."""


def action_id(number: int) -> ActionId:
    """A well-formed id; neighbours share no prefix."""
    return ActionId(f"{number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % (1 << 128):032x}")


def sample_run(
    name: str = "r1", *, age: int = 0, phase: ActionPhase = ActionPhase.RUNNING, **fields: object
) -> RunRecord:
    """A run that was created *age* seconds after `START`."""
    record = RunRecord(
        run=RunId(name), task="flights.main", root=action_id(0), phase=phase, created_at=START + timedelta(seconds=age)
    )
    return msgspec.structs.replace(record, **fields)


def sample_action(
    number: int,
    *,
    run: str = "r1",
    parent: int | None = 0,
    phase: ActionPhase = ActionPhase.QUEUED,
    **fields: object,
) -> ActionRecord:
    """Action *number* of a run, a child of action *parent*."""
    record = ActionRecord(
        run=RunId(run),
        action=action_id(number),
        parent=None if parent is None else action_id(parent),
        task="flights.delays",
        short_name="delays",
        spec=SpecDigest("5" * 64),
        phase=phase,
        inputs=Inline(data=b"\x01"),
        created_at=START,
    )
    return msgspec.structs.replace(record, **fields)


def sample_attempt(action: int, attempt: int = 0, *, run: str = "r1", **fields: object) -> AttemptRecord:
    """An attempt at action number *action*."""
    record = AttemptRecord(
        run=RunId(run), action=action_id(action), attempt=attempt, phase=ActionPhase.RUNNING, queued_at=START
    )
    return msgspec.structs.replace(record, **fields)


def sample_change(seq: int, *, run: str = "r1", **fields: object) -> Change:
    """Entry *seq* of a run's feed."""
    record = Change(run=RunId(run), seq=seq, kind=ChangeKind.WARNING, at=START, phase=ActionPhase.RUNNING)
    return msgspec.structs.replace(record, **fields)


async def refused(asked: Awaitable[object], wanted: type[VolantError] = JournalError) -> VolantError:
    """The error with which a commit or a question is refused."""
    try:
        await asked
    except wanted as error:
        return error
    raise AssertionError(f"it was accepted, wanted {wanted.__name__}")


class JournalConformance(ABC):
    """The promises of the port, one test each."""

    @abstractmethod
    async def open(self, place: Path) -> Journal:
        """Open the journal of *place*, a folder of this test's own."""

    def _with(self, place: Path, body: Callable[[Journal], Awaitable[None]]) -> None:
        async def opened() -> None:
            journal = await self.open(place)
            try:
                await body(journal)
            finally:
                await journal.close()

        asyncio.run(opened())

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

    def test_an_empty_batch_is_done_in_its_turn(self, tmp_path: Path) -> None:
        async def body(journal: Journal) -> None:
            journal.commit(Batch(runs=(sample_run(),)))
            await journal.commit(Batch())
            assert await journal.run(RunId("r1")) == sample_run()

        self._with(tmp_path, body)

    def test_what_is_not_there_is_none_or_empty(self, tmp_path: Path) -> None:
        async def body(journal: Journal) -> None:
            await journal.commit(Batch(runs=(sample_run(),)))
            for run in (RunId("r1"), RunId("nowhere")):
                for action in (action_id(1), ActionId("zz")):
                    assert await journal.action(run, action) is None
                    assert list(await journal.attempts(run, action)) == []
                    assert list(await journal.actions(run, parent=action)) == []
                assert await journal.count_actions(run) == {}
                assert list(await journal.changes(run)) == []
            assert await journal.run(RunId("nowhere")) is None
            assert await journal.spec(SpecDigest("a")) is None
            assert await journal.delete_run(RunId("nowhere")) is False

        self._with(tmp_path, body)

    def test_runs_are_listed_newest_first_in_pages(self, tmp_path: Path) -> None:
        async def body(journal: Journal) -> None:
            names = [f"r{number:03}" for number in range(700)]
            # Created in another order than the names', and several at one instant.
            batch = tuple(sample_run(name, age=(index * 7919) % 100) for index, name in enumerate(names))
            await journal.commit(Batch(runs=batch))
            wanted = sorted(batch, key=lambda run: (run.created_at, run.run), reverse=True)
            assert list(await journal.runs(RunFilter(limit=1000))) == wanted
            assert list(await journal.runs(RunFilter())) == wanted[:100]
            page = await journal.runs(RunFilter(before=wanted[99].run, limit=333))
            assert list(page) == wanted[100:433]
            assert list(await journal.runs(RunFilter(limit=0))) == []

        self._with(tmp_path, body)

    def test_older_than_a_run_that_is_not_there_is_an_error(self, tmp_path: Path) -> None:
        async def body(journal: Journal) -> None:
            assert "nowhere" in str(await refused(journal.runs(RunFilter(before=RunId("nowhere"))), RunNotFoundError))

        self._with(tmp_path, body)

    def test_runs_meet_every_condition_of_the_filter(self, tmp_path: Path) -> None:
        phases = list(ActionPhase)
        runs = [
            sample_run(
                f"r{number:03}",
                age=number,
                phase=phases[number % len(phases)],
                task=f"t{number % 3}",
                labels={"even": str(number % 2 == 0), "third": str(number % 3)} if number % 5 else {},
            )
            for number in range(600)
        ]
        filters = [
            RunFilter(task="t1"),
            RunFilter(task="nothing"),
            RunFilter(phases=(ActionPhase.FAILED,)),
            RunFilter(phases=(ActionPhase.FAILED, ActionPhase.QUEUED, ActionPhase.FAILED)),
            RunFilter(phases=(ActionPhase.RUNNING,), task="t0"),
            RunFilter(labels=(("even", "True"),)),
            RunFilter(labels=(("even", "True"), ("third", "2"))),
            RunFilter(labels=(("even", "nothing"),)),
            RunFilter(labels=(("third", "1"),), task="t1", phases=(ActionPhase.RUNNING, ActionPhase.PAUSED)),
            RunFilter(since=START + timedelta(seconds=580)),
            RunFilter(since=START + timedelta(seconds=100), before=RunId("r300"), task="t2"),
            RunFilter(before=RunId("r003")),
        ]

        def meets(run: RunRecord, where: RunFilter) -> bool:
            return (
                (not where.phases or run.phase in where.phases)
                and (where.task is None or run.task == where.task)
                and all(run.labels.get(key) == value for key, value in where.labels)
                and (where.since is None or run.created_at >= where.since)
                and (where.before is None or run.run < where.before)
            )

        async def body(journal: Journal) -> None:
            await journal.commit(Batch(runs=tuple(runs)))
            for where in filters:
                for limit in (1, 5, 100, 1000):
                    asked = msgspec.structs.replace(where, limit=limit)
                    wanted = [run for run in reversed(runs) if meets(run, where)][:limit]
                    assert list(await journal.runs(asked)) == wanted, asked

        self._with(tmp_path, body)

    def test_unfinished_runs_are_listed_oldest_first(self, tmp_path: Path) -> None:
        async def body(journal: Journal) -> None:
            runs = [sample_run(f"r{age}", age=-age, phase=phase) for age, phase in enumerate(ActionPhase)]
            await journal.commit(Batch(runs=tuple(runs)))
            wanted = [run for run in reversed(runs) if not run.phase.is_final]
            assert list(await journal.unfinished_runs()) == wanted

        self._with(tmp_path, body)

    def test_names_are_found_by_prefix_newest_first(self, tmp_path: Path) -> None:
        async def body(journal: Journal) -> None:
            many = [f"many-{number:04}" for number in range(1500)]
            names = ["a", "ab", "abc", "b", "a%", "a_", "A", "aé", "a\U0001f600", *many]
            await journal.commit(Batch(runs=tuple(sample_run(name, age=-age) for age, name in enumerate(names))))
            for prefix in ("a", "ab", "a%", "a_", "A", "x", "aé", "", "many-", "many-0007"):
                wanted = [name for name in names if name.startswith(prefix)]
                assert list(await journal.matching_runs(prefix)) == wanted[:10], prefix
                assert list(await journal.matching_runs(prefix, limit=2)) == wanted[:2], prefix
            assert len(await journal.matching_runs("many-", limit=2000)) == 1500

        self._with(tmp_path, body)

    def test_actions_are_found_by_the_beginning_of_their_id(self, tmp_path: Path) -> None:
        """Any number of hex digits leads to them; what is none leads nowhere."""

        async def body(journal: Journal) -> None:
            ids = [ActionId(head + "0" * (32 - len(head))) for head in ("a1", "a1f", "b", "ff")]
            rows = [msgspec.structs.replace(sample_action(n), action=each) for n, each in enumerate(ids, start=1)]
            await journal.commit(Batch(runs=(sample_run(), sample_run("r2")), actions=tuple(rows)))
            for prefix, wanted in (
                ("", ids),
                ("a", ids[:2]),
                ("a1", ids[:2]),
                ("a1f", ids[1:2]),
                ("f", ids[3:]),
                (ids[2], ids[2:3]),
                ("c", []),
                ("main", []),
                ("A1", []),
                ("a" * 33, []),
            ):
                assert list(await journal.matching_actions(RunId("r1"), prefix)) == wanted
            assert list(await journal.matching_actions(RunId("r1"), "", limit=2)) == ids[:2]
            assert list(await journal.matching_actions(RunId("r2"), "a")) == []
            assert list(await journal.matching_actions(RunId("nobody"), "a")) == []

        self._with(tmp_path, body)

    def test_actions_are_found_by_their_ids_together(self, tmp_path: Path) -> None:
        """Each once, whatever else is asked for and however often."""

        async def body(journal: Journal) -> None:
            first = sample_action(1, phase=ActionPhase.SUCCEEDED, outputs=Inline(data=b"\x02"), reused_from=RunId("r0"))
            second = sample_action(2)
            other = sample_action(1, run="r2")
            runs = (sample_run(), sample_run("r2"))
            await journal.commit(Batch(runs=runs, actions=(first, second, other)))
            asked = [action_id(2), action_id(3), ActionId("no id"), action_id(1), action_id(2)]
            found = await journal.actions_named(RunId("r1"), asked)
            assert sorted(found, key=lambda each: each.action) == sorted([first, second], key=lambda each: each.action)
            assert list(await journal.actions_named(RunId("r2"), [action_id(1), action_id(2)])) == [other]
            assert list(await journal.actions_named(RunId("r1"), [])) == []
            assert list(await journal.actions_named(RunId("nobody"), asked)) == []

        self._with(tmp_path, body)

    def test_specs_are_listed_as_they_were_used_last(self, tmp_path: Path) -> None:
        """A spec that is used again comes first, once."""

        async def body(journal: Journal) -> None:
            first, second = (
                SpecRecord(spec=SpecDigest(name), body=name.encode(), used_at=START + timedelta(seconds=age))
                for age, name in enumerate(("aa", "bb"))
            )
            await journal.commit(Batch(specs=(first,)))
            await journal.commit(Batch(specs=(second,)))
            assert list(await journal.specs()) == [second, first]
            again = msgspec.structs.replace(first, used_at=START + timedelta(seconds=9))
            await journal.commit(Batch(specs=(again,)))
            assert list(await journal.specs()) == [again, second]
            assert list(await journal.specs(limit=1)) == [again]
            assert await journal.spec(first.spec) == again

        self._with(tmp_path, body)

    def test_actions_are_listed_in_the_order_of_their_creation(self, tmp_path: Path) -> None:
        async def body(journal: Journal) -> None:
            phases = list(ActionPhase)
            actions = [
                sample_action(number, parent=None if number == 0 else number % 3, phase=phases[number % len(phases)])
                for number in range(700)
            ]
            other = tuple(sample_action(number, run="r2") for number in range(5))
            await journal.commit(Batch(runs=(sample_run(), sample_run("r2")), actions=tuple(actions[:300])))
            await journal.commit(Batch(actions=other))
            await journal.commit(Batch(actions=tuple(actions[300:])))
            await journal.commit(Batch(actions=(actions[3],)))
            listed = await journal.actions(RunId("r1"))
            assert [action for _, action in listed] == actions
            positions = [position for position, _ in listed]
            assert positions == sorted(set(positions))
            assert positions[0] > 0
            await self._assert_action_lists(journal, list(listed))
            assert await journal.count_actions(RunId("r1")) == {
                phase: sum(action.phase is phase for action in actions) for phase in phases
            }
            assert len(await journal.actions(RunId("r2"))) == 5

        self._with(tmp_path, body)

    async def _assert_action_lists(self, journal: Journal, listed: list[tuple[int, ActionRecord]]) -> None:
        cases: list[tuple[ActionId | None, tuple[ActionPhase, ...]]] = [
            (None, ()),
            (None, (ActionPhase.FAILED,)),
            (None, (ActionPhase.FAILED, ActionPhase.QUEUED)),
            (action_id(1), ()),
            (action_id(1), (ActionPhase.SUCCEEDED, ActionPhase.RUNNING, ActionPhase.SUCCEEDED)),
            (action_id(999), ()),
        ]
        for parent, phases in cases:
            wanted = [
                (position, action)
                for position, action in listed
                if (parent is None or action.parent == parent) and (not phases or action.phase in phases)
            ]
            found = await journal.actions(RunId("r1"), parent=parent, phases=phases)
            assert list(found) == wanted, (parent, phases)
            if len(wanted) > 10:
                page = await journal.actions(RunId("r1"), parent=parent, phases=phases, after=wanted[4][0], limit=3)
                assert list(page) == wanted[5:8], (parent, phases)
            last = await journal.actions(RunId("r1"), parent=parent, phases=phases, after=listed[-1][0])
            assert list(last) == []

    def test_an_action_keeps_its_position_whenever_it_is_written_again(self, tmp_path: Path) -> None:
        async def write(journal: Journal) -> None:
            await journal.commit(Batch(runs=(sample_run(),), actions=(sample_action(1), sample_action(2))))
            await journal.commit(Batch(actions=(sample_action(1, phase=ActionPhase.SUCCEEDED),)))
            await journal.commit(Batch(actions=(sample_action(3), sample_action(1, phase=ActionPhase.FAILED))))
            assert await numbers(journal) == [1, 2, 3]

        async def write_more(journal: Journal) -> None:
            await journal.commit(Batch(actions=(sample_action(4), sample_action(2), sample_action(1))))
            assert await numbers(journal) == [1, 2, 3, 4]

        async def numbers(journal: Journal) -> list[int]:
            ids = {action_id(number): number for number in range(10)}
            return [ids[action.action] for _, action in await journal.actions(RunId("r1"))]

        self._with(tmp_path, write)
        self._with(tmp_path, write_more)

    def test_attempts_are_listed_by_number(self, tmp_path: Path) -> None:
        async def body(journal: Journal) -> None:
            await journal.commit(
                Batch(
                    runs=(sample_run(), sample_run("r2")),
                    actions=(sample_action(1, phase=ActionPhase.FAILED), sample_action(2), sample_action(1, run="r2")),
                    attempts=(sample_attempt(2, 7), sample_attempt(1, 1, run="r2")),
                )
            )
            await journal.commit(Batch(attempts=(sample_attempt(1, 2), sample_attempt(1, 0))))
            await journal.commit(Batch(attempts=(sample_attempt(1, 1), sample_attempt(1, 2, pid=5))))
            wanted = [sample_attempt(1, 0), sample_attempt(1, 1), sample_attempt(1, 2, pid=5)]
            assert list(await journal.attempts(RunId("r1"), action_id(1))) == wanted

        self._with(tmp_path, body)

    def test_changes_are_read_from_a_position_on(self, tmp_path: Path) -> None:
        async def body(journal: Journal) -> None:
            changes = [sample_change(seq, message=str(seq)) for seq in range(1, 1201)]
            await journal.commit(Batch(runs=(sample_run(), sample_run("r2")), changes=tuple(changes)))
            await journal.commit(Batch(changes=(sample_change(1, run="r2"),)))
            assert list(await journal.changes(RunId("r1"))) == changes[:1000]
            assert list(await journal.changes(RunId("r1"), after=1000)) == changes[1000:]
            assert list(await journal.changes(RunId("r1"), after=7, limit=300)) == changes[7:307]
            assert list(await journal.changes(RunId("r1"), after=1200)) == []
            assert list(await journal.changes(RunId("r1"), after=1 << 40)) == []
            assert list(await journal.changes(RunId("r1"), after=-5, limit=1)) == changes[:1]

        self._with(tmp_path, body)

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
