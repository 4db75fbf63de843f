"""The fixtures of the pytest plugin, used as users use them."""

import asyncio
import os
from datetime import timedelta
from pathlib import Path

import pytest

import volant
from tests.testing import tasks
from volant.api.program import program
from volant.model.errors import ActionNotFoundError, NestedRunError, NotSupportedError
from volant.testing import FinishedRun, RunTask

HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def _new_trace() -> None:
    tasks.TRACE.clear()


def test_a_run_that_succeeds_is_returned_with_its_actions(run_task: RunTask) -> None:
    run = run_task(tasks.warmest, ["Rome", "Reykjavik"])
    assert run.phase == "SUCCEEDED"
    assert run.error is None
    assert run.result() == "Reykjavik"
    assert run.outputs().o0 == "Reykjavik"
    assert (run.task, run.mode) == ("weather.warmest", "inline")
    root, *children = run.actions
    assert root.parent is None
    assert root.children == tuple(children)
    assert [child.inputs for child in children] == [{"place": "Rome", "day": 0}, {"place": "Reykjavik", "day": 0}]
    assert [child.result for child in children] == [4.0, 9.0]
    assert all(child.parent is root for child in children)


@pytest.mark.parametrize("mode", ["inline", "local"])
def test_waits_of_hours_take_no_time_and_are_recorded_to_the_microsecond(run_task: RunTask, mode: str) -> None:
    run = run_task.with_runcontext(mode=mode)(tasks.warmest, ["Rome", "Oslo", "Lima"])
    assert run.result() == "Rome"
    for action in run.actions_of("forecast"):
        assert action.waits == (HOUR, 2 * HOUR, 4 * HOUR)
        assert [attempt.phase for attempt in action.attempts] == ["FAILED", "FAILED", "FAILED", "SUCCEEDED"]
        starts = [attempt.started_at for attempt in action.attempts if attempt.started_at]
        assert starts[-1] - starts[0] >= 7 * HOUR
        assert isinstance(action.attempts[0].error, tasks.NoForecastError)


def test_the_clock_does_not_jump_while_an_attempt_works(run_task: RunTask) -> None:
    run_task(tasks.race)
    happened = tasks.TRACE
    assert happened == ["forecast Oslo 0", "slow is done", *(f"forecast Oslo {n}" for n in (1, 2, 3))]


def test_what_an_attempt_is_being_told_comes_before_a_jump(run_task: RunTask) -> None:
    run = run_task(tasks.first_of_two)
    assert run.result() == "1"
    assert run.action("forecast").phase == "ABORTED"
    happened = tasks.TRACE
    assert happened == ["forecast Oslo 0", "slow is done"]


def test_no_attempt_at_work_is_ever_overtaken(run_task: RunTask) -> None:
    tasks.OVERTAKEN.clear()
    run = run_task(tasks.side_by_side, width=5, length=4)
    assert run.result() == sum(range(20))
    assert tasks.OVERTAKEN == []
    waits = {action.waits for action in run.actions_of("patient")}
    assert waits == {(HOUR + timedelta(microseconds=2**n),) * 3 for n in range(20)}


def test_a_root_that_backs_off_alone_is_waited_for(run_task: RunTask) -> None:
    run = run_task(tasks.forecast, "Bern", day=5)
    assert run.result() == 4.5
    assert run.action("forecast").waits == (HOUR, 2 * HOUR, 4 * HOUR)


def test_a_run_that_fails_is_returned_too(run_task: RunTask) -> None:
    run = run_task(tasks.parent_of_hopeless)
    assert run.phase is volant.ActionPhase.FAILED
    assert isinstance(run.error, tasks.NoForecastError)
    assert run.error.place == "Atlantis"
    with pytest.raises(tasks.NoForecastError, match="no forecast for Atlantis"):
        run.result()
    with pytest.raises(tasks.NoForecastError):
        run.outputs()
    child = run.action("hopeless")
    assert child.phase == "FAILED"
    assert isinstance(child.error, tasks.NoForecastError)
    assert child.failure is not None
    assert "raise NoForecastError" in child.failure.traceback
    with pytest.raises(tasks.NoForecastError):
        _ = child.result
    assert repr(run).endswith(" of weather.parent_of_hopeless FAILED: NoForecastError: no forecast for Atlantis>")


def test_arguments_that_do_not_fit_are_refused_before_anything_runs(run_task: RunTask) -> None:
    with pytest.raises(volant.errors.ArgumentError, match="places"):
        run_task(tasks.warmest, 5)  # type: ignore[arg-type]
    with pytest.raises(volant.errors.ArgumentError, match="expected a task"):
        run_task(len, [])  # type: ignore[arg-type]
    with pytest.raises(volant.errors.ArgumentError, match="expected a task") as found:
        run_task(tasks.slow())  # type: ignore[arg-type]
    assert found.value.hint == "pass the task without calling it: run_task(slow, ...)"
    assert run_task.made == []


def test_the_async_twin_runs_several_at_once(run_task: RunTask) -> None:
    async def body() -> list[FinishedRun[str]]:
        with pytest.raises(volant.errors.CallError, match="event loop is running"):
            run_task(tasks.slow)
        runs = await asyncio.gather(*(run_task.aio(tasks.warmest, [place]) for place in ("Rome", "Oslo")))
        # What is asked about a run later may be asked under a loop too.
        assert [len(run.actions) for run in runs] == [2, 2]
        return runs

    rome, oslo = asyncio.run(body())
    assert (rome.result(), oslo.result()) == ("Rome", "Oslo")
    assert "asking for Rome" in rome.logs


def test_sync_tasks_and_several_outputs(run_task: RunTask) -> None:
    run = run_task(tasks.stations)
    assert run.outputs() == (9, "done")
    assert run.action("station").inputs == {"name": "abc", "height": 3}
    assert run.action("stations").outputs.o1 == "done"


def test_actions_are_found_by_short_and_full_name_and_errors_say_what_there_is(run_task: RunTask) -> None:
    run = run_task(tasks.warmest, ["Rome", "Oslo"])
    assert run.action("weather.warmest") is run.action("warmest")
    with pytest.raises(ActionNotFoundError, match="has 2 actions of 'forecast', expected one"):
        run.action("forecast")
    with pytest.raises(ActionNotFoundError, match="no action of 'forcast'; did you mean 'forecast'") as found:
        run.action("forcast")
    assert found.value.hint == "its actions are of warmest, forecast"
    assert run.actions_of("nothing") == ()


def test_an_inline_run_has_what_the_process_printed(run_task: RunTask, capsys: pytest.CaptureFixture[str]) -> None:
    run = run_task(tasks.stations)
    print("after")
    assert run.logs == "counting\n"
    assert capsys.readouterr() == ("after\n", "counting\n")
    with pytest.raises(NotSupportedError, match="cannot be told from"):
        _ = run.action("station").logs


@pytest.mark.volant(mode="local")
def test_a_marked_test_runs_its_tasks_in_processes_of_their_own(run_task: RunTask) -> None:
    run = run_task(tasks.process_id)
    assert run.mode == "local"
    assert run.result() != os.getpid()
    counted = run_task(tasks.stations)
    assert counted.logs == counted.action("stations").logs == "counting\n"


def test_warnings_of_a_run_are_kept(run_task: RunTask) -> None:
    run = run_task(tasks.env.tasks["weather.slow"].override(env_vars={"A": "1"}))
    assert any("env_vars have no effect in mode 'inline'" in warning for warning in run.warnings)


def test_options_of_a_run_are_those_of_with_runcontext(run_task: RunTask) -> None:
    run = run_task.with_runcontext(name="named", labels={"team": "sky"})(tasks.process_id)
    assert (run.name, run.handle.record.labels) == ("named", {"team": "sky"})
    with pytest.raises(NotSupportedError, match="mode is 'remote', expected 'inline' or 'local'"):
        run_task.with_runcontext(mode="remote")
    with pytest.raises(NotSupportedError, match="wait is False"):
        run_task.with_runcontext(wait=False)
    with pytest.raises(volant.errors.UnknownParameterError, match="did you mean 'labels'"):
        run_task.with_runcontext(lables={})  # type: ignore[call-arg]


def test_run_task_cannot_be_called_from_a_task(run_task: RunTask, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nested() -> None:
        await run_task.aio(tasks.process_id)

    monkeypatch.setattr(tasks, "meanwhile", nested)
    error = run_task(tasks.interrupted).error
    assert isinstance(error, NestedRunError)
    assert "run_task was called inside task 'weather.interrupted'" in str(error)


def test_what_the_code_under_test_submits_goes_to_the_session_s_home(
    volant_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What a program writes down for its users must not count in its tests.
    monkeypatch.setattr(program, "arguments", {"home": "/nowhere", "mode": "local"})
    run = volant.run(tasks.process_id)
    assert run.result() == os.getpid()
    assert run.url.startswith(volant_home.as_uri())
    assert os.environ["VOLANT_HOME"] == str(volant_home)


@pytest.mark.parametrize("mode", ["inline", "local"])
@pytest.mark.parametrize("task", [tasks.reminds, tasks.reminds_blocking])
def test_durable_sleeps_of_days_take_no_time(run_task: RunTask, task: "volant.Task[[int], float]", mode: str) -> None:
    run = run_task.with_runcontext(mode=mode)(task, 30)
    assert run.phase == "SUCCEEDED"
    assert run.result() == 30 * 86_400
    sleeps = run.actions_of("sleep")
    assert [sleep.inputs for sleep in sleeps] == [{"seconds": 86_400.0}] * 30
    assert sleeps[0].result is None
    assert (run.actions[-1].result, run.actions[-1].outputs.o0) == (run.actions[-1].result,) * 2
