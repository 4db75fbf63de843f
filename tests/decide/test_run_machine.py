"""The rules of one run: what follows a call, an outcome, a failure, a loss, a cancellation, an end."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from volant.decide.commands import (
    Accept,
    Command,
    EndTree,
    Enqueue,
    Lend,
    Release,
    RunFinished,
    TakeBack,
    Tell,
    TellRecorded,
    TellSoon,
    WakeAt,
    Withdraw,
)
from volant.decide.live import Earlier
from volant.decide.run_machine import RunMachine
from volant.model.exits import Exit
from volant.model.failures import Failure, FailureKind
from volant.model.ids import ActionId, AttemptKey, CallId, RunId, SpecDigest
from volant.model.payloads import Inline
from volant.model.phases import ActionPhase
from volant.model.records import ActionRecord, AttemptRecord, Change, ChangeKind, RunRecord
from volant.model.specs import ActionSpec, BackoffSpec, Loader, LoaderKind, RetrySpec
from volant.model.worker_protocol import Aborted, CallRefused, Failed, Outcome, SubmitCall, Succeeded

T0 = datetime(2026, 1, 1, tzinfo=UTC)
ROOT = ActionId("root")
RESULT = Succeeded(outputs=Inline(data=b"result"))
LOST = Exit(signal=9)


def spec(**changes: object) -> ActionSpec:
    plain = ActionSpec(
        task="env.task",
        short_name="task",
        environment="env",
        loader=Loader(kind=LoaderKind.MODULE, module="m", qualname="task"),
        is_async=True,
    )
    return msgspec.structs.replace(plain, **changes)


def failed(kind: FailureKind = FailureKind.USER, *, retryable: bool = True) -> Failed:
    return Failed(failure=Failure(kind=kind, code="ValueError", message="no", retryable=retryable))


class Driver:
    """Plays engine, placement and launcher to a machine, and keeps what it wrote."""

    def __init__(self, root: ActionSpec | None = None, *, looks_up: bool = False) -> None:
        record = RunRecord(run=RunId("r"), task="env.task", root=ROOT, phase=ActionPhase.QUEUED, created_at=T0)
        self.machine = RunMachine(record, host="here", looks_up=looks_up)
        self.now = T0
        self.keys = 0
        self.actions: dict[ActionId, ActionRecord] = {}
        self.attempts: dict[tuple[ActionId, int], AttemptRecord] = {}
        self.changes: list[Change] = []
        self.run: RunRecord | None = None
        self.queue: list[ActionId] = []
        self.said: list[Command] = []
        self.take(
            self.machine.create(
                spec=root or spec(),
                spec_digest=SpecDigest("s"),
                inputs=Inline(data=b"in"),
                inputs_digest="d",
                now=T0,
            )
        )

    def take(self, commands: list[Command]) -> list[Command]:
        for command in commands:
            match command:
                case Enqueue(action=action):
                    self.queue.append(action)
                case Withdraw(action=action):
                    if action in self.queue:
                        self.queue.remove(action)
                case Tell(key=key):
                    self.machine.told(key)
                case _:
                    pass
        self.said += commands
        drained = self.machine.drain()
        self.actions |= {record.action: record for record in drained.actions}
        self.attempts |= {(record.action, record.attempt): record for record in drained.attempts}
        self.changes += drained.changes
        self.run = drained.run or self.run
        self.check()
        return commands

    def check(self) -> None:
        """What always holds."""
        assert [change.seq for change in self.changes] == list(range(1, len(self.changes) + 1))
        for live in self.machine.actions.values():
            assert not live.phase.is_final
            assert live.parent is None or live.parent.children.get(live.id) is live
        assert set(self.queue) <= set(self.machine.actions)
        if self.machine.is_finished:
            assert not self.machine.actions
            assert not self.machine.keys
            assert all(record.phase.is_final for record in self.actions.values())

    def start(self, action: ActionId = ROOT) -> AttemptKey:
        self.queue.remove(action)
        self.keys += 1
        key = AttemptKey(self.keys)
        self.machine.admitted(action, key)
        self.take(self.machine.started(key, 100 + self.keys, "log", self.now))
        return key

    def call(self, key: AttemptKey, action: str, number: int, of: ActionSpec | None = None) -> list[Command]:
        message = SubmitCall(
            attempt_key=key,
            call=CallId(number),
            action=ActionId(action),
            spec=SpecDigest("s"),
            inputs=Inline(data=b""),
            inputs_digest="d",
        )
        return self.take(self.machine.called(key, message, of or spec(), self.now))

    def finish(self, key: AttemptKey, outcome: Outcome = RESULT, *, leave: bool = True) -> list[Command]:
        commands = self.take(self.machine.finished(key, outcome, self.now))
        return commands + (self.leave(key) if leave else [])

    def leave(self, key: AttemptKey, ended: Exit | None = None) -> list[Command]:
        return self.take(self.machine.gone(key, ended or Exit(code=0), self.now))

    def told(self) -> list[tuple[int, Outcome]]:
        return [
            (int(command.message.call), command.message.outcome)
            for command in self.said
            if isinstance(command, Tell) and hasattr(command.message, "outcome")
        ]


def test_a_run_whose_root_returns_succeeds() -> None:
    driver = Driver()
    key = driver.start()
    assert driver.run is not None
    assert driver.run.phase is ActionPhase.RUNNING
    commands = driver.finish(key, leave=False)
    assert not any(isinstance(command, RunFinished) for command in commands)
    assert any(isinstance(command, RunFinished) for command in driver.leave(key))
    assert driver.run.phase is ActionPhase.SUCCEEDED
    assert driver.actions[ROOT].outputs == Inline(data=b"result")
    assert driver.attempts[ROOT, 0].phase is ActionPhase.SUCCEEDED
    assert [change.kind for change in driver.changes] == [
        ChangeKind.RUN_CREATED,
        ChangeKind.ACTION_CREATED,
        ChangeKind.ATTEMPT_STARTED,
        ChangeKind.ACTION_ENDED,
        ChangeKind.RUN_ENDED,
    ]


def test_a_child_s_outcome_is_told_with_its_place_in_the_order_of_commits() -> None:
    driver = Driver()
    root = driver.start()
    driver.call(root, "a", 1)
    driver.call(root, "b", 2)
    b = driver.start(ActionId("b"))
    a = driver.start(ActionId("a"))
    driver.finish(b)
    driver.finish(a)
    assert [number for number, _ in driver.told()] == [2, 1]
    assert driver.actions[ActionId("b")].outcome_seq is not None
    assert (driver.actions[ActionId("b")].outcome_seq or 0) < (driver.actions[ActionId("a")].outcome_seq or 0)


def test_retries_count_the_user_s_failures_and_start_when_the_process_is_gone() -> None:
    driver = Driver(spec(retries=RetrySpec(count=1)))
    key = driver.start()
    driver.finish(key, failed(), leave=False)
    assert driver.queue == []
    driver.leave(key)
    assert driver.queue == [ROOT]
    key = driver.start()
    driver.finish(key, failed())
    assert driver.run is not None
    assert driver.run.phase is ActionPhase.FAILED
    record = driver.actions[ROOT]
    assert record.attempts == 2
    assert record.failure is not None
    assert record.failure.attempts == 2
    assert record.failure.task == "env.task"
    assert driver.attempts[ROOT, 0].phase is ActionPhase.FAILED


def test_backoff_delays_the_next_attempt() -> None:
    driver = Driver(spec(retries=RetrySpec(count=2, backoff=BackoffSpec(base=timedelta(seconds=10), factor=3.0))))
    for wait in (10, 30):
        key = driver.start()
        (wake,) = [c for c in driver.finish(key, failed()) if isinstance(c, WakeAt)]
        assert wake.at == driver.now + timedelta(seconds=wait)
        driver.take(driver.machine.backoff_elapsed(ROOT, driver.now))
        assert driver.queue == []
        driver.now = wake.at
        driver.take(driver.machine.backoff_elapsed(ROOT, driver.now))
        assert driver.queue == [ROOT]


def test_a_backoff_beyond_the_calendar_is_a_long_one() -> None:
    forever = BackoffSpec(base=timedelta.max, factor=1.0, cap=timedelta.max)
    driver = Driver(spec(retries=RetrySpec(count=1, backoff=forever)))
    (wake,) = [c for c in driver.finish(driver.start(), failed()) if isinstance(c, WakeAt)]
    assert wake.at == driver.now + timedelta(days=365)


def test_a_failure_that_is_not_retryable_is_not_retried() -> None:
    driver = Driver(spec(retries=RetrySpec(count=5)))
    driver.finish(driver.start(), failed(retryable=False))
    assert driver.run is not None
    assert driver.run.phase is ActionPhase.FAILED


def test_lost_workers_have_a_budget_of_their_own() -> None:
    driver = Driver()
    for lost in range(1, 5):
        driver.leave(driver.start(), LOST)
        assert (driver.queue == [ROOT]) == (lost <= 3)
    assert driver.run is not None
    assert driver.run.phase is ActionPhase.FAILED
    assert driver.actions[ROOT].user_failures == 0


@pytest.mark.parametrize("ended", [Exit(code=0), Exit(code=3), Exit(signal=11), Exit(signal=6)])
def test_a_process_that_ends_by_itself_without_an_outcome_is_the_user_s_failure(ended: Exit) -> None:
    driver = Driver()
    driver.leave(driver.start(), ended)
    failure = driver.actions[ROOT].failure
    assert failure is not None
    assert failure.kind is FailureKind.USER


def test_a_parent_that_ends_takes_its_live_children_with_it_and_the_run_ends_when_they_are_gone() -> None:
    driver = Driver()
    root = driver.start()
    for number, name in enumerate("abc"):
        driver.call(root, name, number)
    a = driver.start(ActionId("a"))
    driver.call(a, "grandchild", 1)
    grandchild = driver.start(ActionId("grandchild"))
    commands = driver.finish(root)
    assert {c.key for c in commands if isinstance(c, EndTree)} == {a, grandchild}
    assert not driver.machine.is_finished
    assert driver.actions[ActionId("b")].phase is ActionPhase.ABORTED
    driver.leave(grandchild, Exit(signal=15))
    driver.leave(a, Exit(signal=15))
    assert driver.machine.is_finished
    assert driver.actions[ActionId("a")].phase is ActionPhase.ABORTED
    assert driver.run is not None
    assert driver.run.phase is ActionPhase.SUCCEEDED


def test_a_cancelled_call_is_answered_when_its_process_is_gone() -> None:
    driver = Driver()
    root = driver.start()
    driver.call(root, "a", 1)
    a = driver.start(ActionId("a"))
    commands = driver.take(driver.machine.cancelled(root, CallId(1), driver.now))
    assert commands == [EndTree(a, False)]
    assert driver.told() == []
    driver.leave(a, Exit(signal=15))
    ((number, outcome),) = driver.told()
    assert number == 1
    assert isinstance(outcome, Aborted)


def test_a_queued_call_is_cancelled_at_once() -> None:
    driver = Driver()
    root = driver.start()
    driver.call(root, "a", 1)
    driver.take(driver.machine.cancelled(root, CallId(1), driver.now))
    assert driver.queue == []
    assert [number for number, _ in driver.told()] == [1]


def test_an_aborted_run_ends_when_every_process_is_gone() -> None:
    driver = Driver()
    root = driver.start()
    driver.call(root, "a", 1)
    driver.call(root, "b", 2)
    a = driver.start(ActionId("a"))
    driver.take(driver.machine.abort(None, "enough", driver.now))
    driver.leave(root, Exit(signal=15))
    assert not driver.machine.is_finished
    driver.leave(a, Exit(signal=9))
    assert driver.machine.is_finished
    assert driver.run is not None
    assert driver.run.phase is ActionPhase.ABORTED
    assert driver.run.failure is not None
    assert driver.run.failure.message == "enough"


def test_an_outcome_that_comes_after_the_abort_does_not_count() -> None:
    driver = Driver()
    root = driver.start()
    driver.take(driver.machine.abort(None, "enough", driver.now))
    driver.finish(root, RESULT)
    assert driver.actions[ROOT].phase is ActionPhase.ABORTED


def test_children_of_a_lost_parent_go_on_and_are_attached_again() -> None:
    driver = Driver()
    root = driver.start()
    driver.call(root, "a", 1)
    a = driver.start(ActionId("a"))
    driver.leave(root, LOST)
    again = driver.start()
    driver.machine.recorded_children(again, [])
    assert driver.call(again, "a", 5) == []
    driver.finish(a)
    assert driver.told() == [(5, RESULT)]


def test_children_that_a_new_attempt_does_not_ask_for_are_aborted_when_it_ends() -> None:
    driver = Driver()
    root = driver.start()
    driver.call(root, "a", 1)
    a = driver.start(ActionId("a"))
    driver.leave(root, LOST)
    again = driver.start()
    driver.finish(again)
    driver.leave(a, Exit(signal=15))
    assert driver.actions[ActionId("a")].phase is ActionPhase.ABORTED
    assert driver.machine.is_finished


def earlier(driver: Driver, *names: str) -> list[Earlier]:
    return [Earlier.of(driver.actions[ActionId(name)]) for name in names]


def test_a_lost_parent_gets_recorded_successes_and_failures_in_the_order_of_their_commits() -> None:
    driver = Driver()
    root = driver.start()
    driver.call(root, "a", 1)
    driver.call(root, "b", 2)
    a, b = driver.start(ActionId("a")), driver.start(ActionId("b"))
    driver.finish(b, failed())
    driver.finish(a)
    driver.leave(root, LOST)
    again = driver.start()
    driver.machine.recorded_children(again, earlier(driver, "a", "b"))
    assert driver.call(again, "a", 1) == []
    commands = driver.call(again, "b", 2)
    assert commands == [TellRecorded(again, ((ActionId("b"), CallId(2)), (ActionId("a"), CallId(1))))]
    message = driver.machine.answer(again, CallId(2), driver.actions[ActionId("b")])
    assert message is not None
    assert isinstance(message.outcome, Failed)
    assert driver.queue == []


def test_a_parent_that_failed_by_itself_has_its_children_s_failures_executed_again() -> None:
    driver = Driver(spec(retries=RetrySpec(count=1)))
    root = driver.start()
    driver.call(root, "good", 1)
    driver.call(root, "bad", 2)
    good, bad = driver.start(ActionId("good")), driver.start(ActionId("bad"))
    driver.finish(good)
    driver.finish(bad, failed())
    driver.finish(root, failed())
    again = driver.start()
    driver.machine.recorded_children(again, earlier(driver, "good", "bad"))
    assert driver.call(again, "good", 1) == [TellRecorded(again, ((ActionId("good"), CallId(1)),))]
    driver.call(again, "bad", 2)
    assert driver.queue == [ActionId("bad")]
    bad = driver.start(ActionId("bad"))
    assert (ActionId("bad"), 1) in driver.attempts
    driver.finish(bad)
    assert driver.actions[ActionId("bad")].phase is ActionPhase.SUCCEEDED


def test_a_failure_recorded_since_the_parent_s_own_failure_is_replayed_after_a_loss() -> None:
    driver = Driver(spec(retries=RetrySpec(count=1)))
    root = driver.start()
    driver.finish(root, failed())
    second = driver.start()
    driver.machine.recorded_children(second, [])
    driver.call(second, "bad", 1)
    driver.finish(driver.start(ActionId("bad")), failed())
    driver.leave(second, LOST)
    third = driver.start()
    driver.machine.recorded_children(third, earlier(driver, "bad"))
    assert driver.call(third, "bad", 1) == [TellRecorded(third, ((ActionId("bad"), CallId(1)),))]


def test_a_loser_that_was_cancelled_before_is_not_executed_again_unless_its_parent_waits_for_it() -> None:
    driver = Driver()
    root = driver.start()
    driver.call(root, "loser", 1)
    loser = driver.start(ActionId("loser"))
    driver.take(driver.machine.cancelled(root, CallId(1), driver.now))
    driver.leave(loser, Exit(signal=15))
    driver.leave(root, LOST)
    again = driver.start()
    driver.machine.recorded_children(again, earlier(driver, "loser"))
    driver.call(again, "loser", 1)
    assert driver.queue == []
    driver.take(driver.machine.waiting(again, 0, driver.now))
    assert driver.queue == [ActionId("loser")]


def test_an_attempt_that_waits_lends_its_cpu_until_it_is_told_something() -> None:
    driver = Driver()
    root = driver.start()
    driver.call(root, "a", 1)
    assert driver.take(driver.machine.waiting(root, 0, driver.now)) == [Lend(root, for_calls=True)]
    assert not driver.machine.can_progress()
    a = driver.start(ActionId("a"))
    assert driver.machine.can_progress()
    driver.finish(a)
    # It says that it waits, but has not taken in what is on its way.
    assert driver.take(driver.machine.waiting(root, 0, driver.now)) == []
    assert driver.take(driver.machine.waiting(root, 1, driver.now)) == [Lend(root)]
    assert driver.take(driver.machine.working(root)) == [TakeBack(root)]
    assert driver.take(driver.machine.working(root)) == []


def test_a_run_that_only_backs_off_does_not_work() -> None:
    driver = Driver(spec(retries=RetrySpec(count=1, backoff=BackoffSpec(base=timedelta(hours=1)))))
    root = driver.start()
    assert driver.machine.is_working()
    driver.take(driver.machine.finished(root, failed(), driver.now))
    # Its process is still there.
    assert driver.machine.is_working()
    driver.leave(root)
    assert not driver.machine.is_working()
    # Whoever is queued is not to wait for the hour.
    assert not driver.machine.can_progress()


def test_what_a_dead_attempt_still_said_is_ignored() -> None:
    driver = Driver()
    root = driver.start()
    driver.leave(root, LOST)
    assert driver.call(root, "late", 1) == []
    assert driver.take(driver.machine.finished(root, RESULT, driver.now)) == []
    assert ActionId("late") not in driver.actions


def lost_parent_and_its_child(driver: Driver) -> tuple[AttemptKey, AttemptKey]:
    """The root's second attempt, and the first of child `a`, which goes on."""
    root = driver.start()
    driver.call(root, "a", 1)
    a = driver.start(ActionId("a"))
    driver.leave(root, LOST)
    return driver.start(), a


@pytest.mark.parametrize("read_first", [True, False])
def test_a_child_that_ends_before_its_new_parent_asks_for_it_is_not_executed_again(read_first: bool) -> None:
    driver = Driver()
    again, a = lost_parent_and_its_child(driver)
    if read_first:
        driver.machine.recorded_children(again, [])
    driver.finish(a)
    if not read_first:
        # What was read before is out of date now.
        driver.machine.recorded_children(again, [])
    assert driver.call(again, "a", 5) == [TellRecorded(again, ((ActionId("a"), CallId(5)),))]
    assert driver.queue == []
    assert driver.actions[ActionId("a")].attempts == 1


def test_children_that_end_later_are_replayed_after_those_of_before_and_each_once() -> None:
    driver = Driver()
    root = driver.start()
    driver.call(root, "a", 1)
    driver.call(root, "b", 2)
    a, b = driver.start(ActionId("a")), driver.start(ActionId("b"))
    driver.finish(b)
    driver.leave(root, LOST)
    again = driver.start()
    driver.finish(a)
    driver.machine.recorded_children(again, earlier(driver, "a", "b"))
    assert driver.call(again, "a", 1) == []
    pairs = ((ActionId("b"), CallId(2)), (ActionId("a"), CallId(1)))
    assert driver.call(again, "b", 2) == [TellRecorded(again, pairs)]


def test_a_failed_child_that_is_executed_again_executes_its_own_failed_children_again() -> None:
    driver = Driver(spec(retries=RetrySpec(count=1)))
    root = driver.start()
    driver.call(root, "mid", 1)
    mid = driver.start(ActionId("mid"))
    driver.call(mid, "leaf", 2)
    driver.finish(driver.start(ActionId("leaf")), failed())
    driver.finish(mid, failed())
    driver.finish(root, failed())
    again = driver.start()
    driver.machine.recorded_children(again, earlier(driver, "mid"))
    driver.call(again, "mid", 1)
    mid = driver.start(ActionId("mid"))
    driver.machine.recorded_children(mid, earlier(driver, "leaf"))
    driver.call(mid, "leaf", 2)
    assert driver.queue == [ActionId("leaf")]


def test_an_action_that_is_executed_again_has_all_its_retries_again() -> None:
    driver = Driver(spec(retries=RetrySpec(count=1)))
    for _ in range(2):
        root = driver.start()
        driver.machine.recorded_children(root, earlier(driver, "a") if ActionId("a") in driver.actions else [])
        driver.call(root, "a", 1, of=spec(retries=RetrySpec(count=1)))
        driver.finish(driver.start(ActionId("a")), failed())
        assert driver.queue == [ActionId("a")]
        driver.finish(driver.start(ActionId("a")), failed())
        assert driver.queue == []
        driver.finish(root, failed())
    assert driver.actions[ActionId("a")].attempts == 4
    assert driver.actions[ActionId("a")].user_failures == 4
    assert [number for action, number in sorted(driver.attempts) if action == "a"] == [0, 1, 2, 3]


def test_an_abort_that_the_parent_was_told_of_is_told_again_after_a_loss() -> None:
    driver = Driver()
    root = driver.start()
    driver.call(root, "a", 1)
    a = driver.start(ActionId("a"))
    driver.take(driver.machine.abort(ActionId("a"), "enough", driver.now))
    driver.leave(a, Exit(signal=15))
    driver.leave(root, LOST)
    again = driver.start()
    driver.machine.recorded_children(again, earlier(driver, "a"))
    assert driver.call(again, "a", 1) == [TellRecorded(again, ((ActionId("a"), CallId(1)),))]


def test_a_child_that_ended_with_its_parent_is_executed_at_once_when_the_parent_is_executed_again() -> None:
    driver = Driver(spec(retries=RetrySpec(count=1)))
    root = driver.start()
    driver.call(root, "mid", 1)
    mid = driver.start(ActionId("mid"))
    driver.call(mid, "slow", 2)
    slow = driver.start(ActionId("slow"))
    driver.finish(mid, failed())
    driver.leave(slow, Exit(signal=15))
    driver.finish(root, failed())
    again = driver.start()
    driver.machine.recorded_children(again, earlier(driver, "mid"))
    driver.call(again, "mid", 1)
    mid = driver.start(ActionId("mid"))
    driver.machine.recorded_children(mid, earlier(driver, "slow"))
    driver.call(mid, "slow", 2)
    assert driver.queue == [ActionId("slow")]


def cancelled_child(driver: Driver) -> AttemptKey:
    """The root's first attempt has called `loser` and cancelled the call; the child's process is still there."""
    root = driver.start()
    driver.call(root, "loser", 1)
    loser = driver.start(ActionId("loser"))
    driver.take(driver.machine.cancelled(root, CallId(1), driver.now))
    driver.leave(root, LOST)
    return loser


def test_a_loser_that_waits_for_its_cancellation_survives_another_loss_of_its_parent() -> None:
    driver = Driver()
    driver.leave(cancelled_child(driver), Exit(signal=15))
    for _ in range(2):
        again = driver.start()
        driver.machine.recorded_children(again, earlier(driver, "loser"))
        driver.call(again, "loser", 1)
        assert driver.queue == []
        driver.leave(again, LOST)
    again = driver.start()
    driver.machine.recorded_children(again, earlier(driver, "loser"))
    driver.call(again, "loser", 1)
    driver.take(driver.machine.waiting(again, 0, driver.now))
    assert driver.queue == [ActionId("loser")]


def test_a_loser_that_is_cancelled_again_is_answered_from_the_journal() -> None:
    driver = Driver()
    driver.leave(cancelled_child(driver), Exit(signal=15))
    again = driver.start()
    driver.machine.recorded_children(again, earlier(driver, "loser"))
    driver.call(again, "loser", 7)
    ended = len(driver.changes)
    commands = driver.take(driver.machine.cancelled(again, CallId(7), driver.now))
    assert commands == [TellRecorded(again, ((ActionId("loser"), CallId(7)),))]
    assert len(driver.changes) == ended
    driver.finish(again)
    assert driver.machine.is_finished


@pytest.mark.parametrize("waits", [True, False])
def test_who_asks_for_an_action_that_its_predecessor_cancelled_does_not_hear_of_that(waits: bool) -> None:
    driver = Driver()
    loser = cancelled_child(driver)
    again = driver.start()
    driver.machine.recorded_children(again, [])
    driver.call(again, "loser", 7)
    if waits:
        driver.take(driver.machine.waiting(again, 0, driver.now))
    driver.leave(loser, Exit(signal=15))
    assert driver.told() == []
    if not waits:
        assert driver.queue == []
        driver.take(driver.machine.waiting(again, 0, driver.now))
    assert driver.queue == [ActionId("loser")]


def test_a_timer_that_fires_before_its_time_is_set_again() -> None:
    driver = Driver(spec(retries=RetrySpec(count=1, backoff=BackoffSpec(base=timedelta(seconds=10)))))
    driver.finish(driver.start(), failed())
    driver.now += timedelta(seconds=10) - timedelta(microseconds=1)
    at = T0 + timedelta(seconds=10)
    assert driver.take(driver.machine.backoff_elapsed(ROOT, driver.now)) == [WakeAt(ROOT, at)]


def test_an_action_that_backs_off_is_not_woken_any_more_once_it_is_aborted() -> None:
    driver = Driver(spec(retries=RetrySpec(count=1, backoff=BackoffSpec(base=timedelta(seconds=10)))))
    driver.finish(driver.start(), failed())
    assert Withdraw(ROOT) in driver.take(driver.machine.abort(None, "enough", driver.now))
    assert driver.machine.is_finished


def test_the_clean_up_of_an_attempt_that_is_being_ended_does_not_wait_for_calls() -> None:
    driver = Driver()
    root = driver.start()
    driver.take(driver.machine.abort(None, "enough", driver.now))
    (command,) = driver.call(root, "late", 1)
    assert isinstance(command, Tell)
    assert isinstance(command.message, CallRefused)
    assert "enough" in command.message.message
    assert ActionId("late") not in driver.actions


def test_aborting_a_tree_far_deeper_than_the_stack_ends_all_of_it() -> None:
    driver = Driver()
    names = [str(ROOT), *(f"level{n}" for n in range(1200))]
    keys: list[AttemptKey] = []
    for name, below in zip(names, [*names[1:], None], strict=True):
        keys.append(driver.start(ActionId(name)))
        if below is not None:
            driver.call(keys[-1], below, 1)
    for key in keys:
        driver.machine.gone(key, LOST, driver.now)
    driver.queue = list(driver.machine.actions)
    driver.take(driver.machine.abort(None, "enough", driver.now))
    assert driver.machine.is_finished


def test_a_word_that_overtakes_the_start_of_its_process_is_heard() -> None:
    driver = Driver()
    driver.queue.clear()
    key = AttemptKey(1)
    driver.machine.admitted(ROOT, key)
    driver.take(driver.machine.finished(key, RESULT, driver.now))
    driver.now += timedelta(seconds=1)
    driver.take(driver.machine.started(key, 100, "log", driver.now))
    driver.leave(key)
    attempt = driver.attempts[ROOT, 0]
    assert attempt.pid == 100
    assert attempt.started_at == T0
    assert driver.actions[ROOT].started_at == T0
    assert ChangeKind.ATTEMPT_STARTED in [change.kind for change in driver.changes]


def test_an_attempt_that_could_not_be_started_never_ran() -> None:
    driver = Driver()
    driver.queue.clear()
    key = AttemptKey(1)
    driver.machine.admitted(ROOT, key)
    driver.take(driver.machine.refused(key, failed().failure, driver.now))
    driver.leave(key, Exit())
    assert driver.actions[ROOT].phase is ActionPhase.FAILED
    assert driver.attempts[ROOT, 0].started_at is None
    assert ChangeKind.ATTEMPT_STARTED not in [change.kind for change in driver.changes]


@pytest.mark.parametrize("act", ["call", "cancel"])
def test_an_attempt_that_acts_while_it_waits_has_woken_up(act: str) -> None:
    driver = Driver()
    root = driver.start()
    driver.call(root, "a", 1)
    driver.take(driver.machine.waiting(root, 0, driver.now))
    if act == "call":
        assert TakeBack(root) in driver.call(root, "b", 2)
    else:
        assert TakeBack(root) in driver.take(driver.machine.cancelled(root, CallId(1), driver.now))


def test_a_parent_is_told_no_later_outcome_while_an_earlier_one_is_on_its_way() -> None:
    driver = Driver()
    root = driver.start()
    for number, name in enumerate("abc"):
        driver.call(root, name, number)
    for name in "abc":
        driver.finish(driver.start(ActionId(name)))
    driver.leave(root, LOST)
    again = driver.start()
    driver.machine.recorded_children(again, earlier(driver, "a", "b", "c"))
    assert driver.call(again, "a", 0) == [TellRecorded(again, ((ActionId("a"), CallId(0)),))]
    driver.call(again, "c", 2)
    # It may still ask for `b` once it hears of `a`.
    assert driver.take(driver.machine.waiting(again, 0, driver.now)) == []
    assert driver.machine.answer(again, CallId(0), driver.actions[ActionId("a")]) is not None
    driver.machine.told(again)
    assert driver.take(driver.machine.waiting(again, 1, driver.now)) == [
        TellRecorded(again, ((ActionId("c"), CallId(2)),))
    ]


def test_a_child_that_ends_now_is_told_after_those_that_ended_before() -> None:
    """`b` had won against `a`; both are called again, and `a` ends before the parent has said that it waits."""
    driver = Driver()
    root = driver.start()
    for number, name in enumerate("abc"):
        driver.call(root, name, number)
    a = driver.start(ActionId("a"))
    driver.finish(driver.start(ActionId("c")))
    driver.finish(driver.start(ActionId("b")))
    driver.leave(root, LOST)
    again = driver.start()
    driver.machine.recorded_children(again, earlier(driver, "b", "c"))
    driver.call(again, "a", 0)
    driver.call(again, "b", 1)
    # It has not asked for `c`, and may yet.
    assert driver.finish(a) == [Release(a), TellSoon(again), Accept(a), Release(a)]
    assert driver.take(driver.machine.waiting(again, 0, driver.now)) == [
        TellRecorded(again, ((ActionId("b"), CallId(1)), (ActionId("a"), CallId(0))))
    ]


def test_a_child_that_ends_while_an_earlier_outcome_is_read_is_told_after_it() -> None:
    driver = Driver()
    root = driver.start()
    for number, name in enumerate("ab"):
        driver.call(root, name, number)
    a = driver.start(ActionId("a"))
    driver.finish(driver.start(ActionId("b")))
    driver.leave(root, LOST)
    again = driver.start()
    driver.machine.recorded_children(again, earlier(driver, "b"))
    driver.call(again, "a", 0)
    assert driver.call(again, "b", 1) == [TellRecorded(again, ((ActionId("b"), CallId(1)),))]
    assert TellRecorded(again, ((ActionId("a"), CallId(0)),)) in driver.finish(a)
    # Only the first attempt was told anything.
    assert driver.told() == [(1, RESULT)]


def test_an_action_that_is_executed_again_waits_until_its_children_of_before_are_gone() -> None:
    """Otherwise it is told that they were aborted, or begins them anew and forgets what they had done."""
    driver = Driver(spec(retries=RetrySpec(count=1)))
    root = driver.start()
    driver.call(root, "mid", 1)
    mid = driver.start(ActionId("mid"))
    driver.call(mid, "leaf", 2)
    leaf = driver.start(ActionId("leaf"))
    driver.finish(mid, failed())
    driver.finish(root, failed())
    again = driver.start()
    driver.machine.recorded_children(again, earlier(driver, "mid"))
    driver.call(again, "mid", 1)
    assert driver.queue == []
    driver.leave(leaf, Exit(signal=15))
    assert driver.queue == [ActionId("mid")]
    mid = driver.start(ActionId("mid"))
    driver.machine.recorded_children(mid, earlier(driver, "leaf"))
    driver.call(mid, "leaf", 2)
    driver.finish(driver.start(ActionId("leaf")))
    assert driver.actions[ActionId("leaf")].attempts == 2


def test_an_action_that_waits_for_its_children_of_before_can_be_aborted() -> None:
    driver = Driver(spec(retries=RetrySpec(count=1)))
    root = driver.start()
    driver.call(root, "mid", 1)
    mid = driver.start(ActionId("mid"))
    driver.call(mid, "leaf", 2)
    leaf = driver.start(ActionId("leaf"))
    driver.finish(mid, failed())
    driver.finish(root, failed())
    again = driver.start()
    driver.machine.recorded_children(again, earlier(driver, "mid"))
    driver.call(again, "mid", 1)
    driver.take(driver.machine.abort(None, "enough", driver.now))
    driver.leave(again, Exit(signal=15))
    driver.leave(leaf, Exit(signal=15))
    assert driver.queue == []
    assert driver.machine.is_finished


def test_an_attempt_whose_process_begins_while_it_is_being_ended_counts_in_its_action_s_row() -> None:
    """An engine that goes on from there would not know that there is an attempt to close."""
    driver = Driver()
    root = driver.start()
    driver.call(root, "a", 1)
    driver.queue.remove(ActionId("a"))
    driver.machine.admitted(ActionId("a"), AttemptKey(9))
    driver.take(driver.machine.abort(ActionId("a"), "enough", driver.now))
    driver.take(driver.machine.started(AttemptKey(9), 100, "log", driver.now))
    assert (ActionId("a"), 0) in driver.attempts
    assert driver.actions[ActionId("a")].attempts == 1


def test_a_run_that_has_ended_says_nothing_more() -> None:
    driver = Driver()
    driver.finish(driver.start())
    driver.machine.warn("too late", driver.now)
    assert not driver.machine.has_changes
