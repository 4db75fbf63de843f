"""Traced functions as actions of a run: recorded once, replayed, executed again only after their parent's failure."""

from datetime import timedelta

from tests.decide.test_run_machine import LOST, RESULT, ROOT, T0, Driver, failed, spec
from volant.decide.commands import Command, LookUp, Tell, TellRecorded
from volant.decide.live import Earlier
from volant.model.exits import Exit
from volant.model.ids import ActionId, AttemptKey, CallId, RunId, SpecDigest
from volant.model.payloads import Inline, SavedCheckpoint
from volant.model.phases import ActionPhase
from volant.model.records import ActionRecord, ChangeKind
from volant.model.specs import ActionKind, RetrySpec
from volant.model.worker_protocol import (
    Acknowledged,
    AskStep,
    CallRefused,
    ChildEnded,
    Failed,
    SaveCheckpoint,
    StepEnded,
    Succeeded,
)

STEP = spec(kind=ActionKind.STEP, task="m.step", short_name="step")


def end(driver: Driver, key: AttemptKey, action: str, call: int, outcome: Succeeded | Failed = RESULT) -> list[Command]:
    message = StepEnded(
        attempt_key=key,
        call=CallId(call),
        action=ActionId(action),
        spec=SpecDigest("t"),
        inputs=Inline(data=b""),
        inputs_digest="d",
        outcome=outcome,
        seconds=2.0,
    )
    return driver.take(driver.machine.step_ended(key, message, STEP, driver.now))


def ask(driver: Driver, key: AttemptKey, action: str, call: int) -> list[Command]:
    asked = AskStep(attempt_key=key, call=CallId(call), action=ActionId(action))
    return driver.take(driver.machine.step_asked(key, asked, driver.now))


def again(driver: Driver, key: AttemptKey, ended: Exit = LOST) -> AttemptKey:
    """The next attempt of the root, which knows what the journal has."""
    driver.leave(key, ended)
    following = driver.start()
    children = [Earlier.of(record) for record in driver.actions.values() if record.parent == ROOT]
    driver.machine.recorded_children(following, [child for child in children if child.phase.is_final])
    return following


def replies(commands: list[Command]) -> list[object]:
    return [command.message for command in commands if isinstance(command, Tell)]


def test_a_step_begins_and_ends_at_once() -> None:
    driver = Driver()
    driver.now = T0 + timedelta(seconds=10)
    root = driver.start()
    (told,) = replies(end(driver, root, "a", 1))
    assert isinstance(told, ChildEnded)
    assert told.outcome == RESULT
    row = driver.actions[ActionId("a")]
    assert (row.kind, row.phase, row.parent, row.attempts) == (ActionKind.STEP, ActionPhase.SUCCEEDED, ROOT, 1)
    assert (row.started_at, row.ended_at) == (T0 + timedelta(seconds=8), driver.now)
    assert [change.kind for change in driver.changes][-2:] == [ChangeKind.ACTION_CREATED, ChangeKind.ACTION_ENDED]
    assert driver.machine.actions.keys() == {ROOT}


def test_a_failed_step_keeps_what_its_generator_gave() -> None:
    driver = Driver()
    root = driver.start()
    outcome = Failed(failure=failed().failure, outputs=Inline(data=b"items"))
    (told,) = replies(end(driver, root, "a", 1, outcome))
    assert isinstance(told, ChildEnded)
    assert isinstance(told.outcome, Failed)
    assert (told.outcome.outputs, told.outcome.failure.task) == (Inline(data=b"items"), "m.step")
    row = driver.actions[ActionId("a")]
    assert (row.outputs, row.user_failures) == (Inline(data=b"items"), 1)


def test_a_step_of_an_earlier_attempt_is_replayed_and_an_unknown_one_is_executed() -> None:
    driver = Driver()
    root = driver.start()
    end(driver, root, "a", 1)
    following = again(driver, root)
    assert replies(ask(driver, following, "b", 1)) == [Acknowledged(call=CallId(1), at=T0)]
    assert ask(driver, following, "a", 2) == [TellRecorded(following, ((ActionId("a"), CallId(2)),))]
    answer = driver.machine.answer(following, CallId(2), driver.actions[ActionId("a")])
    assert answer is not None
    assert answer.outcome == RESULT


def test_a_step_that_is_told_again_is_recorded_once() -> None:
    driver = Driver()
    root = driver.start()
    end(driver, root, "a", 1)
    following = again(driver, root)
    written = len(driver.changes)
    assert end(driver, following, "a", 7) == [TellRecorded(following, ((ActionId("a"), CallId(7)),))]
    assert len(driver.changes) == written


def test_after_a_loss_a_failed_step_is_replayed_and_after_a_failure_executed_again() -> None:
    driver = Driver(spec(retries=RetrySpec(count=1)))
    root = driver.start()
    end(driver, root, "a", 1, failed())
    following = again(driver, root)
    assert ask(driver, following, "a", 1) == [TellRecorded(following, ((ActionId("a"), CallId(1)),))]
    driver.machine.answer(following, CallId(1), driver.actions[ActionId("a")])
    driver.finish(following, failed(), leave=False)
    last = again(driver, following, Exit(code=0))
    assert replies(ask(driver, last, "a", 1)) == [Acknowledged(call=CallId(1), at=T0)]
    end(driver, last, "a", 2)
    row = driver.actions[ActionId("a")]
    assert (row.phase, row.attempts, row.user_failures) == (ActionPhase.SUCCEEDED, 2, 1)
    assert row.failure is None


def test_an_attempt_that_is_being_ended_records_nothing_more() -> None:
    driver = Driver()
    root = driver.start()
    driver.take(driver.machine.abort(None, "enough", driver.now))
    for commands in (ask(driver, root, "a", 1), end(driver, root, "b", 2)):
        (refused,) = replies(commands)
        assert isinstance(refused, CallRefused)
        assert refused.error == "RunAbortedError"
    assert driver.actions.keys() == {ROOT}


def test_a_step_before_its_launcher_s_word_is_in_the_journal_after_its_parent_s_start() -> None:
    driver = Driver()
    driver.queue.remove(ROOT)
    key = AttemptKey(1)
    driver.machine.admitted(ROOT, key)
    end(driver, key, "a", 1)
    kinds = [change.kind for change in driver.changes]
    assert kinds.index(ChangeKind.ATTEMPT_STARTED) < kinds.index(ChangeKind.ACTION_ENDED)
    assert driver.actions[ROOT].phase is ActionPhase.RUNNING


def recorded(action: str) -> ActionRecord:
    """A step that another run has executed."""
    return ActionRecord(
        run=RunId("before"),
        action=ActionId(action),
        parent=ROOT,
        task="m.step",
        short_name="step",
        spec=SpecDigest("t"),
        phase=ActionPhase.SUCCEEDED,
        inputs=Inline(data=b""),
        inputs_digest="d",
        attempts=1,
        created_at=T0,
        ended_at=T0,
        outputs=RESULT.outputs,
        kind=ActionKind.STEP,
    )


def test_a_step_that_another_run_has_executed_is_taken_over() -> None:
    driver = Driver(looks_up=True)
    root = driver.start()
    assert ask(driver, root, "a", 1) == [LookUp(ActionId("a"))]
    assert driver.machine.is_working()
    found = driver.machine.looked_up(ActionId("a"), recorded("a"), driver.now, spec=STEP)
    (told,) = replies(driver.take(found))
    assert isinstance(told, ChildEnded)
    assert (told.call, told.outcome) == (CallId(1), RESULT)
    row = driver.actions[ActionId("a")]
    assert (row.kind, row.attempts, row.reused_from) == (ActionKind.STEP, 0, "before")
    assert driver.changes[-1].message == "reused from run before"
    # It is the run's own from now on.
    following = again(driver, root)
    assert [type(each) for each in ask(driver, following, "a", 2)] == [TellRecorded]


def test_a_step_that_nobody_has_executed_is_executed() -> None:
    driver = Driver(looks_up=True)
    root = driver.start()
    ask(driver, root, "a", 1)
    found = driver.machine.looked_up(ActionId("a"), None, driver.now)
    assert replies(driver.take(found)) == [Acknowledged(call=CallId(1), at=driver.now)]
    assert driver.machine.looked_up(ActionId("a"), recorded("a"), driver.now, spec=STEP) == []
    assert not driver.actions.keys() & {ActionId("a")}
    (told,) = replies(end(driver, root, "a", 2))
    assert isinstance(told, ChildEnded)


def test_a_step_that_failed_in_this_run_is_not_looked_up_again() -> None:
    driver = Driver(spec(retries=RetrySpec(count=1)), looks_up=True)
    root = driver.start()
    ask(driver, root, "a", 1)
    driver.take(driver.machine.looked_up(ActionId("a"), None, driver.now))
    end(driver, root, "a", 2, failed())
    driver.take(driver.machine.finished(root, failed(), driver.now))
    following = again(driver, root, Exit(code=0))
    assert replies(ask(driver, following, "a", 1)) == [Acknowledged(call=CallId(1), at=driver.now)]


def test_who_is_lost_while_a_step_is_looked_up_is_not_answered() -> None:
    driver = Driver(looks_up=True)
    root = driver.start()
    ask(driver, root, "a", 1)
    following = again(driver, root)
    assert driver.machine.looked_up(ActionId("a"), recorded("a"), driver.now, spec=STEP) == []
    ask(driver, following, "a", 1)
    (told,) = replies(driver.take(driver.machine.looked_up(ActionId("a"), recorded("a"), driver.now, spec=STEP)))
    assert isinstance(told, ChildEnded)


def save(driver: Driver, key: AttemptKey, data: bytes, call: int = 1) -> list[Command]:
    saved = SavedCheckpoint(data=Inline(data=data))
    message = SaveCheckpoint(attempt_key=key, call=CallId(call), checkpoint=saved)
    return driver.take(driver.machine.checkpoint_saved(key, message, driver.now))


def test_a_checkpoint_is_written_before_it_is_told_and_dropped_by_success() -> None:
    driver = Driver()
    root = driver.start()
    assert replies(save(driver, root, b"one")) == [Acknowledged(call=CallId(1), at=T0)]
    save(driver, root, b"two")
    assert driver.actions[ROOT].checkpoint == SavedCheckpoint(data=Inline(data=b"two"))
    driver.leave(root, LOST)
    assert driver.machine.actions[ROOT].checkpoint == SavedCheckpoint(data=Inline(data=b"two"))
    driver.finish(driver.start())
    assert driver.actions[ROOT].checkpoint is None


def test_what_an_action_that_failed_has_saved_is_there_when_its_parent_tries_it_again() -> None:
    driver = Driver(spec(retries=RetrySpec(count=1)))
    root = driver.start()
    driver.call(root, "a", 1)
    child = driver.start(ActionId("a"))
    save(driver, child, b"half")
    driver.finish(child, failed())
    driver.finish(root, failed(), leave=False)
    following = again(driver, root, Exit(code=0))
    driver.call(following, "a", 1)
    assert driver.machine.actions[ActionId("a")].checkpoint == SavedCheckpoint(data=Inline(data=b"half"))


def test_an_attempt_that_is_being_ended_may_still_save() -> None:
    driver = Driver()
    root = driver.start()
    driver.take(driver.machine.abort(None, "enough", driver.now))
    assert replies(save(driver, root, b"last")) == [Acknowledged(call=CallId(1), at=T0)]
