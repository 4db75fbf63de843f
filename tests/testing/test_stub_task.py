"""Stubs take the place of tasks inside runs."""

import threading

import pytest

import volant
from tests.testing import tasks
from volant.testing import RunTask, StubTask

BOTH = pytest.mark.parametrize("mode", ["inline", "local"])


@BOTH
def test_a_stub_returns_instead_of_the_task_and_keeps_the_calls(
    run_task: RunTask, stub_task: StubTask, mode: str
) -> None:
    stub = stub_task(tasks.forecast, returns=30.0)
    run = run_task.with_runcontext(mode=mode)(tasks.warmest, ["Rome", "Oslo"])
    assert run.result() == "Rome"
    assert sorted(stub.calls, key=str) == [{"place": "Oslo", "day": 0}, {"place": "Rome", "day": 0}]
    assert [action.result for action in run.actions_of("forecast")] == [30.0, 30.0]


@BOTH
def test_a_stub_that_raises_is_retried_as_the_task_would_be(run_task: RunTask, stub_task: StubTask, mode: str) -> None:
    stub = stub_task(tasks.forecast, raises=tasks.NoForecastError(place="Ys"))
    run = run_task.with_runcontext(mode=mode)(tasks.forecast, "Rome")
    assert isinstance(run.error, tasks.NoForecastError)
    assert run.error.place == "Ys"
    told = volant.errors.details(run.error)
    assert (told.task, told.attempts, told.code) == ("weather.forecast", 4, "NoForecastError")
    assert len(run.action("forecast").attempts) == 4
    assert stub.calls == [{"place": "Rome", "day": 0}] * 4


def called(place: str, day: int = 0) -> float:
    """Module-level: found by name where a task runs."""
    return {"Rome": 1.0, "Oslo": 2.0}[place] + day


@BOTH
def test_a_stub_may_call_a_function(run_task: RunTask, stub_task: StubTask, mode: str) -> None:
    stub = stub_task(tasks.forecast, calls=called)
    assert run_task.with_runcontext(mode=mode)(tasks.warmest, ["Rome", "Oslo"]).result() == "Oslo"
    assert len(stub.calls) == 2


@BOTH
def test_a_function_of_the_test_s_own_body_travels_too(run_task: RunTask, stub_task: StubTask, mode: str) -> None:
    answers = {"Rome": 1.0, "Oslo": 2.0}

    async def answer(place: str, day: int = 0) -> float:
        return answers[place]

    stub_task(tasks.forecast, calls=answer)
    assert run_task.with_runcontext(mode=mode)(tasks.warmest, ["Rome", "Oslo"]).result() == "Oslo"


@BOTH
def test_a_stubbed_sync_task_gets_its_arguments_as_python_passes_them(
    run_task: RunTask, stub_task: StubTask, mode: str
) -> None:
    def answer(name: str, /, *, height: int = 2) -> int:
        return len(name) * height * 100

    stub = stub_task(tasks.station, calls=answer)
    assert run_task.with_runcontext(mode=mode)(tasks.stations).result() == (900, "done")
    assert stub.calls == [{"name": "abc", "height": 3}]


def test_a_stub_ends_with_its_block_and_what_it_replaced_counts_again(run_task: RunTask, stub_task: StubTask) -> None:
    outer = stub_task(tasks.station, returns=1)
    with stub_task(tasks.station, returns=2) as inner:
        assert run_task(tasks.stations).result() == (2, "done")
    assert run_task(tasks.stations).result() == (1, "done")
    outer.remove()
    assert run_task(tasks.stations).result() == (9, "done")
    assert (len(inner.calls), len(outer.calls)) == (1, 1)


@pytest.mark.parametrize("number", [1, 2])
def test_a_stub_does_not_outlive_its_test(run_task: RunTask, stub_task: StubTask, number: int) -> None:
    assert run_task(tasks.stations).result() == (9, "done")
    stub_task(tasks.station, returns=number)
    assert run_task(tasks.stations).result() == (number, "done")


def test_a_stub_reaches_tasks_that_travel_by_value(run_task: RunTask, stub_task: StubTask) -> None:
    env = volant.TaskEnvironment(name="by_value")

    @env.task
    async def inner() -> int:
        return 1

    @env.task
    async def main() -> int:
        return await inner()

    stub = stub_task(inner, returns=5)
    assert run_task(main).result() == 5
    assert stub.calls == [{}]


def test_an_overridden_task_is_the_same_task(run_task: RunTask, stub_task: StubTask) -> None:
    stub_task(tasks.forecast.override(retries=0), returns=3.0)
    assert run_task(tasks.forecast, "Rome").result() == 3.0


def test_outside_runs_a_stubbed_task_is_the_plain_function(stub_task: StubTask) -> None:
    stub_task(tasks.station, returns=5)
    assert tasks.station("ab") == 4


def test_what_a_stub_returns_is_of_the_task_s_type(run_task: RunTask, stub_task: StubTask) -> None:
    with pytest.raises(volant.errors.ArgumentError, match=r"weather\.station.*return value.*'two'.*int"):
        stub_task(tasks.station, returns="two")
    # Of a function it is known when it was called.
    stub_task(tasks.station, calls=lambda name, /, *, height: "two")
    run = run_task(tasks.station, "ab")
    assert isinstance(run.error, volant.errors.ArgumentError)


def test_runs_with_stubs_leave_the_cache_alone(run_task: RunTask, stub_task: StubTask) -> None:
    assert b"disable_run_cache" not in run_task(tasks.process_id).handle.record.options
    stub_task(tasks.station, returns=5)
    assert b"disable_run_cache" in run_task(tasks.process_id).handle.record.options


async def _coroutine(name: str, /, *, height: int = 2) -> int:
    return height


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "found none, expected one of returns, raises and calls"),
        ({"returns": 1, "raises": OSError}, "found returns and raises, expected one of"),
        ({"raises": "broken"}, "raises is 'broken', expected an exception or its class"),
        ({"raises": int}, "raises is <class 'int'>, expected an exception or its class"),
        ({"calls": 5}, "calls is 5, expected a function"),
        ({"calls": _coroutine}, "calls is an async function, expected a def: the task is sync"),
        (
            {"calls": lambda name: 5},
            r"cannot be called as the task is, \(name: str, /, \*, height: int = 2\) -> int: got",
        ),
    ],
)
def test_stubs_that_cannot_be_are_refused_where_they_are_written(
    stub_task: StubTask, given: dict[str, object], message: str
) -> None:
    with pytest.raises(volant.errors.DefinitionError, match=rf"stub_task\(weather\.station\): .*{message}"):
        stub_task(tasks.station, **given)  # type: ignore[call-overload]


def test_only_tasks_are_stubbed(stub_task: StubTask) -> None:
    with pytest.raises(volant.errors.ArgumentError, match=r"stub_task: the first argument is .*expected a task"):
        stub_task(called, returns=1)  # type: ignore[call-overload]


def test_an_answer_that_cannot_be_sent_is_refused_in_a_local_run(run_task: RunTask, stub_task: StubTask) -> None:
    lock = threading.Lock()

    def answer(name: str, /, *, height: int = 2) -> int:
        with lock:
            return 5

    stub_task(tasks.station, calls=answer)
    with pytest.raises(volant.errors.NotSupportedError, match=r"stub of task 'weather\.station' cannot be sent"):
        run_task.with_runcontext(mode="local")(tasks.stations)
    assert run_task(tasks.stations).result() == (5, "done")
