"""What a group writes, and what stays in memory afterwards."""

import pytest

from volant.journal.planning import Head, Heads, Plan, key, position
from volant.model.errors import JournalError
from volant.model.ids import ActionId, RunId
from volant.model.phases import ActionPhase
from volant.model.records import Batch
from volant.testing.journal import action_id, sample_action, sample_attempt, sample_change, sample_run

DONE = ActionPhase.SUCCEEDED


class Nothing:
    """An empty database that counts how often it is asked for an action."""

    def __init__(self) -> None:
        self.asked = 0

    def head(self, run: RunId) -> Head | None:
        return None

    def place(self, number: int, action: ActionId) -> int | None:
        self.asked += 1
        return None


class Something(Nothing):
    """A database with run `r1`: 7 changes, and actions 1 to 3 at these positions."""

    def head(self, run: RunId) -> Head | None:
        return Head(number=5, seq=7, position=3) if run == "r1" else None

    def place(self, number: int, action: ActionId) -> int | None:
        self.asked += 1
        return {action_id(at): at for at in (1, 2, 3)}.get(action) if number == 5 else None


def test_of_several_rows_in_a_group_only_the_last_is_written() -> None:
    plan = Plan(Heads(last_number=0), Nothing())
    plan.add(Batch(runs=(sample_run(),), actions=(sample_action(1),)))
    plan.add(Batch(actions=(sample_action(2),), attempts=(sample_attempt(1),)))
    plan.add(
        Batch(
            runs=(sample_run(token=2),), actions=(sample_action(1, phase=DONE),), attempts=(sample_attempt(1, pid=3),)
        )
    )
    assert list(plan.runs.values()) == [sample_run(token=2)]
    assert list(plan.new_actions.values()) == [sample_action(1, phase=DONE), sample_action(2)]
    assert not plan.changed_actions
    assert list(plan.attempts.values()) == [sample_attempt(1, pid=3)]


def test_a_refused_batch_leaves_nothing_in_the_plan_and_nothing_in_memory() -> None:
    heads = Heads(last_number=0)
    plan = Plan(heads, Nothing())
    plan.add(Batch(runs=(sample_run(),), changes=(sample_change(1),)))
    with pytest.raises(JournalError, match="change 3 was given, change 2 is next"):
        plan.add(
            Batch(
                runs=(sample_run("r2"), sample_run(token=9)),
                actions=(sample_action(1),),
                changes=(sample_change(1, run="r2"), sample_change(3)),
            )
        )
    assert list(plan.runs.values()) == [sample_run()]
    assert not plan.new_actions
    assert [change.seq for _, change in plan.changes] == [1]
    assert set(heads) == {"r1"}
    plan.add(Batch(changes=(sample_change(2),)))


def test_rows_of_stored_things_keep_their_keys() -> None:
    plan = Plan(Heads(last_number=5), Something())
    plan.add(
        Batch(
            actions=(sample_action(2), sample_action(9)),
            attempts=(sample_attempt(3, 1),),
            changes=(sample_change(8),),
        )
    )
    assert list(plan.changed_actions) == [key(5, 2)]
    assert list(plan.new_actions) == [key(5, 4)]
    assert list(plan.attempts) == [(key(5, 3), 1)]
    assert [position(at) for at, _ in plan.changes] == [8]


def test_memory_follows_what_is_live_not_what_was() -> None:
    heads = Heads(last_number=0)
    database = Nothing()
    for number in range(1, 101):
        plan = Plan(heads, database)
        opened = (sample_run(),) if number == 1 else ()
        plan.add(Batch(runs=opened, actions=(sample_action(number),)))
        if number > 3:
            plan.add(Batch(actions=(sample_action(number - 3, phase=DONE),)))
        plan.settle()
    assert set(heads[RunId("r1")].places) == {action_id(number) for number in (98, 99, 100)}
    plan = Plan(heads, database)
    plan.add(Batch(runs=(sample_run(phase=DONE),)))
    plan.settle()
    assert not heads


def test_a_live_action_is_looked_up_once() -> None:
    heads = Heads(last_number=5)
    database = Something()
    for _ in range(5):
        plan = Plan(heads, database)
        plan.add(Batch(actions=(sample_action(2, phase=ActionPhase.RUNNING),)))
        plan.settle()
    assert database.asked == 1
