"""Lists have the order and the pages that they promise."""

from datetime import timedelta
from pathlib import Path

import msgspec

from volant.model.errors import RunNotFoundError
from volant.model.ids import ActionId, RunId, SpecDigest
from volant.model.payloads import Inline
from volant.model.phases import ActionPhase
from volant.model.records import ActionRecord, Batch, RunRecord, SpecRecord
from volant.ports.journal import Journal, RunFilter
from volant.testing.journal.opening import Opening
from volant.testing.journal.samples import (
    START,
    action_id,
    refused,
    sample_action,
    sample_attempt,
    sample_change,
    sample_run,
)


class Listing(Opening):
    """Lists have the order and the pages that they promise."""

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
