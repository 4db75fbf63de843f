"""Durable sleeps as actions of a run: nobody executes them, they end at their time, and survive their engine."""

from datetime import timedelta

import msgspec

from tests.decide.test_restoring import restore
from tests.decide.test_run_machine import LOST, ROOT, T0, Driver, spec
from volant.decide.commands import Command, Enqueue, LookUp, Tell, TellRecorded, WakeAt, Withdraw
from volant.decide.live import Earlier
from volant.model.ids import ActionId, AttemptKey, CallId, RunId, SpecDigest
from volant.model.payloads import Inline
from volant.model.phases import ActionPhase
from volant.model.specs import ActionKind
from volant.model.worker_protocol import Aborted, ChildEnded, SubmitCall, Succeeded

TIMER = spec(kind=ActionKind.TIMER, task="volant.durable.sleep", short_name="sleep", result=b"none")
NAP = ActionId("nap")
MONTH = timedelta(days=30)


def sleep(driver: Driver, key: AttemptKey, *, call: int = 1, lasting: timedelta = MONTH) -> list[Command]:
    message = SubmitCall(
        attempt_key=key,
        call=CallId(call),
        action=NAP,
        spec=SpecDigest("t"),
        inputs=Inline(data=b""),
        inputs_digest="d",
        delay=lasting.total_seconds(),
    )
    return driver.take(driver.machine.called(key, message, TIMER, driver.now))


def ring(driver: Driver) -> list[Command]:
    return driver.take(driver.machine.backoff_elapsed(NAP, driver.now))


def test_a_timer_takes_no_place_and_ends_at_its_time() -> None:
    driver = Driver()
    commands = sleep(driver, driver.start())
    assert commands == [WakeAt(NAP, T0 + MONTH)]
    row = driver.actions[NAP]
    assert (row.kind, row.phase, row.due_at) == (ActionKind.TIMER, ActionPhase.PAUSED, T0 + MONTH)
    driver.now = T0 + MONTH
    (told,) = [command.message for command in ring(driver) if isinstance(command, Tell)]
    assert isinstance(told, ChildEnded)
    assert told.outcome == Succeeded(outputs=Inline(data=b"none"))
    row = driver.actions[NAP]
    assert (row.phase, row.attempts, row.ended_at) == (ActionPhase.SUCCEEDED, 0, driver.now)


def test_an_attempt_that_waits_for_a_timer_does_not_work() -> None:
    driver = Driver()
    root = driver.start()
    sleep(driver, root)
    driver.take(driver.machine.waiting(root, 0, driver.now))
    assert not driver.machine.is_working()
    # What else is queued is not to wait until the month is over.
    assert not driver.machine.can_progress()


def test_an_attempt_that_comes_later_sleeps_for_what_is_left() -> None:
    driver = Driver()
    root = driver.start()
    sleep(driver, root)
    driver.now += timedelta(days=29)
    driver.leave(root, LOST)
    following = driver.start()
    assert sleep(driver, following, call=5) == []
    driver.now += timedelta(days=1)
    (told,) = [command for command in ring(driver) if isinstance(command, Tell)]
    assert (told.key, told.message.call) == (following, CallId(5))


def test_a_timer_that_nobody_asks_for_again_ends_with_its_parent() -> None:
    driver = Driver()
    root = driver.start()
    sleep(driver, root)
    commands = driver.finish(root)
    assert Withdraw(NAP) in commands
    assert driver.actions[NAP].phase is ActionPhase.ABORTED
    assert ring(driver) == []


def test_a_sleep_that_is_cancelled_ends_at_once() -> None:
    driver = Driver()
    root = driver.start()
    sleep(driver, root)
    commands = driver.take(driver.machine.cancelled(root, CallId(1), driver.now))
    assert Withdraw(NAP) in commands
    (told,) = [command.message for command in commands if isinstance(command, Tell)]
    assert isinstance(told, ChildEnded)
    assert isinstance(told.outcome, Aborted)


def test_a_timer_survives_its_engine_and_keeps_its_time() -> None:
    driver = Driver()
    sleep(driver, driver.start())
    driver.now += timedelta(days=31)
    commands = restore(driver, specs={SpecDigest("s"): spec(), SpecDigest("t"): TIMER})
    assert commands == [Enqueue(ROOT), WakeAt(NAP, T0 + MONTH)]
    assert driver.actions[NAP].phase is ActionPhase.PAUSED
    ring(driver)
    assert driver.actions[NAP].phase is ActionPhase.SUCCEEDED


def test_a_sleep_beyond_the_calendar_is_a_long_one() -> None:
    driver = Driver()
    (wake,) = sleep(driver, driver.start(), lasting=timedelta.max)
    assert isinstance(wake, WakeAt)
    assert wake.at - T0 >= timedelta(days=36_500)


def test_a_sleep_of_another_run_is_taken_over_and_a_new_one_is_slept() -> None:
    for found in (True, False):
        driver = Driver(looks_up=True)
        root = driver.start()
        assert sleep(driver, root) == [LookUp(NAP)]
        recorded = msgspec.structs.replace(
            driver.actions[NAP], run=RunId("before"), phase=ActionPhase.SUCCEEDED, outputs=Inline(data=b"none")
        )
        commands = driver.take(driver.machine.looked_up(NAP, recorded if found else None, driver.now))
        if not found:
            assert commands == [WakeAt(NAP, T0 + MONTH)]
            assert driver.actions[NAP].phase is ActionPhase.PAUSED
            driver.now = T0 + MONTH
            commands = ring(driver)
        assert [type(command.message) for command in commands if isinstance(command, Tell)] == [ChildEnded]
        row = driver.actions[NAP]
        assert (row.phase, row.reused_from) == (ActionPhase.SUCCEEDED, "before" if found else None)


def test_a_timer_does_not_overtake_what_had_ended_before_it() -> None:
    driver = Driver()
    root = driver.start()
    sleep(driver, root)
    driver.call(root, "won", 2)
    driver.finish(driver.start(ActionId("won")))
    driver.leave(root, LOST)
    following = driver.start()
    driver.machine.recorded_children(following, [Earlier.of(driver.actions[ActionId("won")])])
    sleep(driver, following, call=1)
    driver.now += MONTH
    assert not any(isinstance(command, Tell) for command in ring(driver))
    driver.call(following, "won", 2)
    (order,) = [command.calls for command in driver.said if isinstance(command, TellRecorded)]
    assert order == ((ActionId("won"), CallId(2)), (NAP, CallId(1)))
