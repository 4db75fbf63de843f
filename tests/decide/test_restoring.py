"""A run whose engine is gone goes on from its rows."""

from collections.abc import Mapping
from datetime import timedelta

import pytest

from tests.decide.test_run_machine import LOST, RESULT, ROOT, Driver, failed, spec
from volant.decide.commands import Command, RunFinished, WakeAt
from volant.decide.restoring import Past
from volant.decide.retrying import LOST_BUDGET
from volant.decide.run_machine import RunMachine
from volant.decide.surviving import Survivor
from volant.model.ids import ActionId, SpecDigest
from volant.model.phases import ActionPhase
from volant.model.records import ChangeKind
from volant.model.specs import ActionSpec, BackoffSpec, RetrySpec

RETRIED = spec(retries=RetrySpec(count=2, backoff=BackoffSpec(base=timedelta(hours=1))))


def restore(
    driver: Driver,
    of: ActionSpec | None = None,
    *,
    specs: Mapping[SpecDigest, ActionSpec] | None = None,
    survivors: tuple[Survivor, ...] = (),
) -> list[Command]:
    """Another engine takes over what *driver* has committed."""
    assert driver.run is not None
    unfinished = tuple(record for record in driver.actions.values() if not record.phase.is_final)
    parents = {record.parent for record in unfinished}
    past = Past(
        root=driver.actions[ROOT],
        unfinished=unfinished,
        ended_parents=tuple(r for r in driver.actions.values() if r.action in parents and r.phase.is_final),
        attempts={action: record for (action, _), record in sorted(driver.attempts.items())},
        specs=specs or {SpecDigest("s"): of or spec()},
        seq=len(driver.changes),
        survivors=survivors,
    )
    driver.machine = RunMachine(driver.run, host="here")
    driver.queue.clear()
    driver.said.clear()
    return driver.take(driver.machine.restore(past, driver.now))


def test_what_was_running_is_queued_again_and_its_attempt_was_lost() -> None:
    driver = Driver()
    driver.start()
    restore(driver)
    assert driver.queue == [ROOT]
    lost = driver.attempts[ROOT, 0]
    assert lost.phase is ActionPhase.FAILED
    assert lost.failure is not None
    assert lost.failure.code == "EngineLost"
    driver.finish(driver.start())
    assert driver.actions[ROOT].attempts == 2
    assert driver.run is not None
    assert driver.run.phase is ActionPhase.SUCCEEDED
    assert [change.kind for change in driver.changes].count(ChangeKind.RUN_RESUMED) == 1


def test_a_child_of_before_goes_on_and_is_there_when_its_parent_asks() -> None:
    driver = Driver()
    driver.call(driver.start(), "child", 1)
    driver.start(ActionId("child"))
    restore(driver)
    assert driver.queue == [ROOT, "child"]
    child = driver.start(ActionId("child"))
    parent = driver.start()
    driver.call(parent, "child", 7)
    driver.finish(child)
    assert driver.told() == [(7, RESULT)]
    assert driver.actions[ActionId("child")].attempts == 2


def test_losses_of_before_do_not_count_any_more() -> None:
    driver = Driver()
    for _ in range(LOST_BUDGET):
        driver.leave(driver.start(), LOST)
    driver.start()
    for _ in range(LOST_BUDGET + 1):
        restore(driver)
        driver.start()
    restore(driver)
    driver.leave(driver.start(), LOST)
    assert driver.queue == [ROOT]


def test_failures_of_before_count() -> None:
    driver = Driver(RETRIED)
    driver.finish(driver.start(), failed())
    driver.now += timedelta(hours=1)
    driver.take(driver.machine.backoff_elapsed(ROOT, driver.now))
    driver.finish(driver.start(), failed())
    restore(driver, RETRIED)
    driver.now += timedelta(hours=1)
    driver.take(driver.machine.backoff_elapsed(ROOT, driver.now))
    driver.finish(driver.start(), failed())
    assert driver.run is not None
    assert driver.run.phase is ActionPhase.FAILED
    assert driver.actions[ROOT].user_failures == 3


@pytest.mark.parametrize("leave", [True, False], ids=["process gone", "process not gone"])
def test_a_backoff_ends_when_it_would_have_ended(leave: bool) -> None:
    driver = Driver(RETRIED)
    failed_at = driver.now
    driver.finish(driver.start(), failed(), leave=leave)
    driver.now += timedelta(minutes=50)
    commands = restore(driver, RETRIED)
    assert commands == [WakeAt(ROOT, failed_at + timedelta(hours=1))]
    assert driver.queue == []


def test_a_backoff_is_not_the_longer_for_a_clock_that_was_set_back() -> None:
    driver = Driver(RETRIED)
    driver.finish(driver.start(), failed())
    driver.now -= timedelta(hours=5)
    assert restore(driver, RETRIED) == [WakeAt(ROOT, driver.now + timedelta(hours=1))]


def test_what_runs_below_an_action_that_has_ended_is_aborted() -> None:
    driver = Driver()
    root = driver.start()
    driver.call(root, "middle", 1)
    middle = driver.start(ActionId("middle"))
    driver.call(middle, "left", 2)
    driver.start(ActionId("left"))
    # It has ended, and what it left is being killed.
    driver.finish(middle)
    restore(driver)
    left = driver.actions[ActionId("left")]
    assert left.phase is ActionPhase.ABORTED
    assert left.parent == "middle"
    assert driver.queue == [ROOT]


def test_a_run_whose_root_has_ended_ends() -> None:
    driver = Driver()
    root = driver.start()
    driver.call(root, "left", 1)
    driver.start(ActionId("left"))
    driver.finish(root)
    commands = restore(driver)
    assert commands[-1] == RunFinished(RESULT)
    assert driver.run is not None
    assert driver.run.phase is ActionPhase.SUCCEEDED
    assert driver.actions[ActionId("left")].phase is ActionPhase.ABORTED
