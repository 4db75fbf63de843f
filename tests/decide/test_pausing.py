"""Attempts that only wait, and for long, are put away; something that ends brings them back."""

from datetime import timedelta

import pytest

from tests.decide.test_restoring import restore
from tests.decide.test_run_machine import LOST, ROOT, Driver, spec
from tests.decide.test_timers import MONTH, NAP, TIMER, ring, sleep
from volant.decide.commands import Command, EndTree, Enqueue, RunFinished, Tell
from volant.decide.live import Stage
from volant.model.exits import Exit
from volant.model.failures import FailureKind
from volant.model.ids import ActionId, AttemptKey, CallId, SpecDigest
from volant.model.phases import ActionPhase
from volant.model.records import ChangeKind

SPECS = {SpecDigest("s"): spec(), SpecDigest("t"): TIMER}
ENDED = Exit(signal=15)


def wait(driver: Driver, key: AttemptKey, *, told: int = 0, for_engine: bool = True) -> list[Command]:
    return driver.take(driver.machine.waiting(key, told, driver.now, for_engine=for_engine))


def asleep(driver: Driver) -> AttemptKey:
    """The root waits for a month, and is put away."""
    root = driver.start()
    sleep(driver, root)
    assert wait(driver, root) == [EndTree(root)]
    return root


def test_an_attempt_that_waits_for_long_is_put_away_and_holds_nothing() -> None:
    driver = Driver()
    root = asleep(driver)
    assert driver.actions[ROOT].phase is ActionPhase.PAUSED
    driver.leave(root, ENDED)
    assert driver.machine.actions[ROOT].stage is Stage.PAUSED
    assert not driver.machine.keys
    assert driver.queue == []
    attempt = driver.attempts[ROOT, 0]
    assert (attempt.phase, attempt.failure, attempt.exit_status) == (ActionPhase.PAUSED, None, None)
    assert driver.changes[-1].kind is ChangeKind.ATTEMPT_ENDED


def test_the_end_of_the_timer_brings_it_back_at_no_cost() -> None:
    driver = Driver()
    driver.leave(asleep(driver), ENDED)
    driver.now += MONTH
    assert Enqueue(ROOT) in ring(driver)
    following = driver.start()
    row = driver.actions[ROOT]
    assert (row.attempts, row.user_failures, row.lost) == (2, 0, 0)
    driver.finish(following)
    assert driver.actions[ROOT].phase is ActionPhase.SUCCEEDED


def test_a_timer_that_ends_while_the_process_is_being_ended_brings_it_back_too() -> None:
    driver = Driver()
    root = asleep(driver)
    driver.now += MONTH
    assert not any(isinstance(command, Tell) for command in ring(driver))
    assert driver.queue == []
    assert Enqueue(ROOT) in driver.leave(root, ENDED)


def test_what_an_attempt_says_while_it_is_put_away_is_not_heard() -> None:
    driver = Driver()
    root = asleep(driver)
    driver.finish(root, leave=False)
    driver.call(root, "late", 9)
    wait(driver, root)
    driver.leave(root, ENDED)
    assert driver.machine.actions.keys() == {ROOT, NAP}
    assert driver.machine.actions[ROOT].stage is Stage.PAUSED


@pytest.mark.parametrize("lasting", [timedelta(0), timedelta(seconds=29)])
def test_a_short_sleep_puts_nobody_away(lasting: timedelta) -> None:
    driver = Driver()
    root = driver.start()
    sleep(driver, root, lasting=lasting)
    assert not any(isinstance(command, EndTree) for command in wait(driver, root))


def test_an_attempt_that_something_of_its_own_can_wake_stays() -> None:
    driver = Driver()
    root = driver.start()
    sleep(driver, root)
    assert not any(isinstance(command, EndTree) for command in wait(driver, root, for_engine=False))


def test_an_attempt_that_also_waits_for_a_task_at_work_stays() -> None:
    driver = Driver()
    root = driver.start()
    sleep(driver, root)
    driver.call(root, "child", 2)
    child = driver.start(ActionId("child"))
    assert not any(isinstance(command, EndTree) for command in wait(driver, root))
    driver.finish(child)
    # The answer woke it; then it says again that it waits.
    assert wait(driver, root, told=1) == [EndTree(root)]


def test_an_attempt_that_waits_for_nothing_of_the_engine_s_stays() -> None:
    driver = Driver()
    assert not any(isinstance(command, EndTree) for command in wait(driver, driver.start()))


def test_who_waits_for_one_that_was_put_away_is_put_away_too() -> None:
    driver = Driver()
    root = driver.start()
    driver.call(root, "child", 1)
    child = driver.start(ActionId("child"))
    wait(driver, root)
    sleep(driver, child)
    assert wait(driver, child) == [EndTree(child)]
    assert EndTree(root) in driver.leave(child, ENDED)
    driver.leave(root, ENDED)
    driver.now += MONTH
    assert Enqueue(ActionId("child")) in ring(driver)
    assert driver.machine.actions[ROOT].stage is Stage.PAUSED
    driver.finish(driver.start(ActionId("child")))
    assert driver.queue == [ROOT]


def test_a_paused_action_can_be_aborted_with_all_below_it() -> None:
    driver = Driver()
    driver.leave(asleep(driver), ENDED)
    commands = driver.take(driver.machine.abort(None, "enough", driver.now))
    assert any(isinstance(command, RunFinished) for command in commands)
    assert {row.phase for row in driver.actions.values()} == {ActionPhase.ABORTED}


def test_one_that_is_being_put_away_can_be_aborted() -> None:
    driver = Driver()
    root = asleep(driver)
    driver.take(driver.machine.abort(None, "enough", driver.now))
    assert any(isinstance(command, RunFinished) for command in driver.leave(root, ENDED))
    assert driver.actions[ROOT].phase is ActionPhase.ABORTED


@pytest.mark.parametrize("gone", [True, False])
def test_a_paused_action_survives_its_engine_without_a_process(*, gone: bool) -> None:
    driver = Driver()
    root = asleep(driver)
    if gone:
        driver.leave(root, ENDED)
    restore(driver, specs=SPECS)
    assert driver.queue == []
    assert driver.machine.actions[ROOT].stage is Stage.PAUSED
    assert driver.attempts[ROOT, 0].failure is None
    driver.now += MONTH
    ring(driver)
    driver.finish(driver.start())
    assert driver.actions[ROOT].attempts == 2
    assert driver.actions[ROOT].lost == 0


def test_one_that_was_brought_back_before_its_engine_was_lost_goes_on() -> None:
    driver = Driver()
    driver.leave(asleep(driver), ENDED)
    driver.now += MONTH
    ring(driver)
    restore(driver, specs=SPECS)
    assert driver.queue == [ROOT]


def test_an_attempt_that_is_lost_while_it_waits_is_lost() -> None:
    driver = Driver()
    root = driver.start()
    sleep(driver, root)
    wait(driver, root, for_engine=False)
    driver.leave(root, LOST)
    assert driver.actions[ROOT].lost == 1
    failure = driver.attempts[ROOT, 0].failure
    assert failure is not None
    assert failure.kind is FailureKind.LOST


def test_many_sleeps_are_not_looked_at_again_and_again() -> None:
    driver = Driver()
    root = driver.start()
    sleep(driver, root)
    for number in range(50):
        driver.call(root, f"a{number}", number + 2)
    wait(driver, root)
    attempt = driver.machine.actions[ROOT].attempt
    assert attempt is not None
    assert attempt.blocker == ActionId("a0")
    assert attempt.calls[CallId(2)] == attempt.blocker


def test_a_timer_that_is_looked_up_elsewhere_first_puts_its_caller_away_then() -> None:
    driver = Driver(looks_up=True)
    root = driver.start()
    sleep(driver, root)
    assert not any(isinstance(command, EndTree) for command in wait(driver, root))
    assert EndTree(root) in driver.take(driver.machine.looked_up(NAP, None, driver.now))
