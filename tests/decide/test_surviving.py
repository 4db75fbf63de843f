"""Attempts that outlived their engine: who goes on with them, and what becomes of those that nobody wants."""

from datetime import timedelta

from tests.decide.test_restoring import RETRIED, restore
from tests.decide.test_run_machine import LOST, RESULT, ROOT, Driver, failed
from volant.decide.commands import Accept, Adopt, Command, EndTree, RunFinished, TellRecorded
from volant.decide.live import Earlier
from volant.decide.surviving import Survivor
from volant.model.ids import ActionId, AttemptKey, CallId
from volant.model.phases import ActionPhase
from volant.model.records import ChangeKind
from volant.model.worker_protocol import Aborted

CHILD = ActionId("child")
OTHER = ActionId("other")


def survivor(key: AttemptKey, action: ActionId = ROOT, attempt: int = 0, *children: Earlier) -> Survivor:
    return Survivor(key=key, action=action, attempt=attempt, children=children)


def ended(driver: Driver, *actions: ActionId) -> tuple[Earlier, ...]:
    return tuple(Earlier.of(driver.actions[action]) for action in actions)


def rejoin(driver: Driver, key: AttemptKey, *asked: ActionId, told: int = 0) -> list[Command]:
    return driver.take(driver.machine.rejoined(key, told, set(asked)))


def test_a_survivor_goes_on_as_the_attempt_that_it_is() -> None:
    driver = Driver()
    key = driver.start()
    commands = restore(driver, survivors=(survivor(key),))
    assert Adopt(ROOT, key) in commands
    assert driver.queue == []
    driver.finish(key)
    assert driver.actions[ROOT].attempts == 1
    assert [change.kind for change in driver.changes].count(ChangeKind.ATTEMPT_STARTED) == 1
    assert driver.run is not None
    assert driver.run.phase is ActionPhase.SUCCEEDED


def test_an_attempt_that_the_journal_knows_as_admitted_only_begins() -> None:
    driver = Driver()
    driver.queue.clear()
    key = AttemptKey(7)
    driver.machine.admitted(ROOT, key)
    # Its row tells the count of attempts, and there is no row of the attempt.
    driver.actions[ROOT] = driver.machine.actions[ROOT].record(driver.machine.run)
    restore(driver, survivors=(survivor(key),))
    assert driver.queue == []
    driver.take(driver.machine.started(key, 1, "log", driver.now))
    driver.finish(key)
    assert driver.attempts[ROOT, 0].phase is ActionPhase.SUCCEEDED


def test_an_attempt_whose_action_the_journal_does_not_know_waits_until_it_is_asked_for() -> None:
    driver = Driver()
    root = driver.start()
    child = AttemptKey(70)
    commands = restore(driver, survivors=(survivor(root), survivor(child, CHILD)))
    assert Adopt(CHILD, child) not in commands
    rejoin(driver, root, CHILD)
    assert driver.call(root, CHILD, 1) == [Adopt(CHILD, child)]
    assert driver.queue == []
    driver.take(driver.machine.started(child, 1, "log", driver.now))
    driver.finish(child)
    assert driver.told() == [(1, RESULT)]


def test_an_attempt_that_nobody_asks_for_ends_with_the_run() -> None:
    driver = Driver()
    root = driver.start()
    left = AttemptKey(70)
    restore(driver, survivors=(survivor(root), survivor(left, CHILD)))
    commands = driver.finish(root)
    assert EndTree(left, at_once=True) in commands
    assert not any(isinstance(command, RunFinished) for command in commands)
    assert driver.leave(left, LOST) == [RunFinished(RESULT)]


def test_what_a_first_attempt_was_told_is_no_gap_in_what_it_is_told_again() -> None:
    driver = Driver()
    root = driver.start()
    for number, child in enumerate((CHILD, OTHER), 1):
        driver.call(root, child, number)
        driver.finish(driver.start(child))
    restore(driver, survivors=(survivor(root, ROOT, 0, *ended(driver, CHILD, OTHER)),))
    # It took in the first answer; the second one was lost on its way.
    rejoin(driver, root, OTHER, told=1)
    assert driver.call(root, OTHER, 2) == [TellRecorded(root, ((OTHER, CallId(2)),))]
    assert driver.machine.answer(root, CallId(2), driver.actions[OTHER]) is not None
    assert driver.actions[OTHER].attempts == 1


def test_what_ends_before_a_survivor_speaks_is_told_when_it_asks() -> None:
    driver = Driver()
    root = driver.start()
    driver.call(root, CHILD, 1)
    child = driver.start(CHILD)
    restore(driver, survivors=(survivor(root), survivor(child, CHILD)))
    driver.finish(child)
    assert driver.told() == []
    rejoin(driver, root, CHILD)
    assert driver.call(root, CHILD, 1) == [TellRecorded(root, ((CHILD, CallId(1)),))]


def test_a_call_that_was_cancelled_is_cancelled_again() -> None:
    driver = Driver()
    root = driver.start()
    driver.call(root, CHILD, 1)
    child = driver.start(CHILD)
    driver.take(driver.machine.cancelled(root, CallId(1), driver.now))
    restore(driver, survivors=(survivor(root), survivor(child, CHILD)))
    rejoin(driver, root, CHILD)
    driver.call(root, CHILD, 1)
    assert EndTree(child, at_once=False) in driver.take(driver.machine.cancelled(root, CallId(1), driver.now))
    driver.leave(child, LOST)
    assert driver.told() == [(1, Aborted(reason="cancelled by its caller"))]


def test_how_a_survivor_failed_counts_like_any_failure() -> None:
    driver = Driver(RETRIED)
    key = driver.start()
    restore(driver, RETRIED, survivors=(survivor(key),))
    driver.finish(key, failed())
    assert driver.actions[ROOT].user_failures == 1
    assert driver.actions[ROOT].lost == 0


def test_a_survivor_whose_failure_is_committed_is_ended_and_its_action_goes_on() -> None:
    driver = Driver(RETRIED)
    key = driver.start()
    driver.finish(key, failed(), leave=False)
    commands = restore(driver, RETRIED, survivors=(survivor(key),))
    assert EndTree(key, at_once=True) in commands
    driver.leave(key, LOST)
    driver.now += timedelta(hours=1)
    driver.take(driver.machine.backoff_elapsed(ROOT, driver.now))
    driver.finish(driver.start())
    assert driver.actions[ROOT].attempts == 2


def test_a_retry_that_the_journal_does_not_know_is_not_begun_twice() -> None:
    driver = Driver(RETRIED)
    first = driver.start()
    second = AttemptKey(70)
    commands = restore(driver, RETRIED, survivors=(survivor(first), survivor(second, ROOT, 1)))
    assert Adopt(ROOT, first) in commands
    # How the first one ended is known only now; the next one was under way by then.
    assert Adopt(ROOT, second) in driver.leave(first)
    assert driver.queue == []
    driver.take(driver.machine.started(second, 1, "log", driver.now))
    driver.finish(second)
    assert driver.actions[ROOT].attempts == 2


def test_a_survivor_below_an_action_that_has_ended_is_ended() -> None:
    driver = Driver()
    root = driver.start()
    driver.call(root, CHILD, 1)
    child = driver.start(CHILD)
    driver.finish(root, leave=False)
    commands = restore(driver, survivors=(survivor(child, CHILD),))
    assert EndTree(child, at_once=False) in commands
    assert driver.leave(child, LOST)[-1] == RunFinished(RESULT)


def test_a_word_that_comes_too_late_is_answered_all_the_same() -> None:
    driver = Driver()
    root = driver.start()
    driver.take(driver.machine.abort(None, "enough", driver.now))
    assert driver.finish(root, leave=False) == [Accept(root)]


def test_a_last_word_that_is_said_again_is_not_accepted_before_it_is_committed() -> None:
    driver = Driver()
    root = driver.start()
    assert Accept(root) in driver.finish(root, leave=False)
    assert driver.finish(root, leave=False) == []


def test_a_last_word_is_accepted_after_its_callers_are_told() -> None:
    driver = Driver()
    root = driver.start()
    driver.call(root, CHILD, 1)
    child = driver.start(CHILD)
    assert driver.finish(child, leave=False)[-1] == Accept(child)
