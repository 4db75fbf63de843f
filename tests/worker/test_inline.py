"""The calling process as the worker of every action."""

import asyncio
import os
import sys
import threading
from collections.abc import Coroutine
from typing import Any

import pytest

import volant
from tests.worker import user_tasks
from tests.worker.fake_engine import wait_for
from tests.worker.inline_engine import InlineEngine
from volant.authoring.session import current_session
from volant.model.errors import TaskExitError
from volant.model.specs import ActionSpec
from volant.model.worker_protocol import Aborted, AttemptFinished, SubmitCall, Waiting, Working
from volant.worker import attempt

env = volant.TaskEnvironment(name="inline-tests")

STACK: list[str] = []


@env.task
def fib(n: int) -> int:
    return n if n < 2 else fib(n - 1) + fib(n - 2)


@env.task
async def afib(n: int) -> int:
    return n if n < 2 else sum(await asyncio.gather(afib(n - 1), afib(n - 2)))


@env.task
async def mixed(n: int) -> int:
    return sum(await asyncio.gather(*(fib.aio(i) for i in range(n))))


@env.task
def deep(n: int) -> int:
    return 0 if n == 0 else 1 + deep(n - 1)


@env.task
def where() -> list[object]:
    try:
        asyncio.get_running_loop()
        loop = True
    except RuntimeError:
        loop = False
    return [os.getpid(), threading.get_ident(), loop]


@env.task
def runs_its_own_loop() -> int:
    async def main() -> int:
        await asyncio.sleep(0)
        return 5

    return asyncio.run(main())


@env.task
def calls_from_its_own_loop() -> list[int]:
    async def main() -> list[int]:
        return list(await asyncio.gather(afib(5), fib.aio(6), afib(7)))

    return asyncio.run(main())


@env.task
def parent(name: str) -> int:
    STACK.append(f"{name} begins")
    found = child(name)
    STACK.append(f"{name} ends")
    return found


@env.task
def child(name: str) -> int:
    STACK.append(f"child of {name}")
    return 1


@env.task
async def two_parents() -> int:
    return sum(await asyncio.gather(parent.aio("a"), parent.aio("b")))


@env.task
def divides(n: int) -> float:
    return 1 / n


@env.task
def catches() -> str:
    try:
        divides(0)
    except ZeroDivisionError as exc:
        return str(exc)
    return "nothing"


@env.task
def changes(values: list[int]) -> list[int]:
    values.append(99)
    return values


@env.task
def keeps_its_own() -> list[list[int]]:
    mine = [1]
    return [changes(mine), mine]


@env.task
async def sleeps() -> int:
    try:
        await asyncio.sleep(600)
    except asyncio.CancelledError:
        STACK.append("cancelled")
        raise
    return 1


@env.task
def waits_for_a_child() -> int:
    try:
        return child("nobody")
    finally:
        STACK.append("unwound")


@env.task
async def uses_a_thread() -> int:
    return await asyncio.to_thread(fib, 3)


@env.task
async def first_of_three() -> list[int]:
    seen: list[int] = []
    pending = {asyncio.ensure_future(afib(n)) for n in (1, 1, 1)}
    while pending:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        seen.append(len(done))
    return seen


LEFT: list[asyncio.Task[Any]] = []


@env.task
async def leaves_calls_behind() -> int:
    async def calls_later() -> int:
        await asyncio.sleep(0.02)
        return await afib(1)

    LEFT[:] = [asyncio.ensure_future(sleeps()), asyncio.ensure_future(calls_later())]
    await asyncio.sleep(0.01)
    return 1


def run(main: Coroutine[Any, Any, Any]) -> Any:
    async def bounded() -> Any:
        async with asyncio.timeout(60):
            return await main

    return asyncio.run(bounded())


def execute(task: Any, /, **arguments: Any) -> Any:
    async def main() -> Any:
        engine = InlineEngine()
        try:
            return await engine.run(task, **arguments)
        finally:
            await engine.host.close()
            assert engine.unfinished == set()

    return run(main())


@pytest.fixture(autouse=True)
def nothing_of_a_run_stays() -> Any:
    STACK.clear()
    limit = sys.getrecursionlimit()
    threads = threading.active_count()
    yield
    assert current_session() is None
    assert sys.getrecursionlimit() == limit
    wait_for(lambda: threading.active_count() == threads, "the end of every thread")


@pytest.mark.parametrize(("task", "n", "expected"), [(fib, 9, 34), (afib, 9, 34), (mixed, 7, 20), (deep, 90, 90)])
def test_sync_and_async_tasks_call_one_another(task: Any, n: int, expected: int) -> None:
    assert execute(task, n=n) == expected


def test_a_task_is_looked_up_once_however_often_it_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[str] = []
    plain = attempt.find_task

    def find_task(spec: ActionSpec) -> attempt.KnownTask:
        found.append(spec.task)
        return plain(spec)

    monkeypatch.setattr(attempt, "find_task", find_task)
    assert execute(deep, n=5) == 5
    assert found == [deep.name]


def test_sync_tasks_run_on_the_thread_that_waits_and_see_no_loop() -> None:
    assert execute(where) == [os.getpid(), threading.get_ident(), False]


def test_a_sync_task_may_run_a_loop_of_its_own() -> None:
    assert execute(runs_its_own_loop) == 5


def test_a_loop_of_its_own_may_call_tasks() -> None:
    assert execute(calls_from_its_own_loop) == [5, 8, 13]


def test_only_descendants_run_on_top_of_what_waits() -> None:
    assert execute(two_parents) == 2
    assert STACK == ["a begins", "child of a", "a ends", "b begins", "child of b", "b ends"]


def test_an_attempt_that_waits_for_its_turn_lends_its_cpu() -> None:
    async def main() -> None:
        engine = InlineEngine()
        await engine.run(two_parents)
        await engine.host.close()
        spoken: dict[int, list[type]] = {}
        for message in engine.heard:
            if isinstance(message, (Waiting, Working, SubmitCall, AttemptFinished)):
                spoken.setdefault(message.attempt_key, []).append(type(message))
        assert sorted(spoken.values(), key=str) == sorted(
            [
                [SubmitCall, SubmitCall, Waiting, AttemptFinished],
                [Waiting, Working, SubmitCall, Waiting, AttemptFinished],
                [Waiting, Working, SubmitCall, Waiting, AttemptFinished],
                [Waiting, Working, AttemptFinished],
                [Waiting, Working, AttemptFinished],
            ],
            key=str,
        )

    run(main())


def test_exceptions_and_values_travel_as_everywhere() -> None:
    assert execute(catches) == "division by zero"
    assert execute(keeps_its_own) == [[1, 99], [1]]
    with pytest.raises(ZeroDivisionError):
        execute(divides, n=0)


def test_a_race_has_one_winner() -> None:
    assert execute(first_of_three) == [1, 1, 1]


def test_a_thread_may_call_while_the_loop_is_free() -> None:
    assert execute(uses_a_thread) == 2


@pytest.mark.parametrize("task", [user_tasks.leaves_with, user_tasks.async_leaves_with])
def test_sys_exit_is_a_failure_here_too(task: Any) -> None:
    with pytest.raises(TaskExitError) as raised:
        execute(task, code=3)
    assert raised.value.exit_code == 3


def test_an_end_cancels_a_coroutine() -> None:
    async def main() -> None:
        engine = InlineEngine()
        key, end = engine.start(sleeps)
        await asyncio.sleep(0.01)
        engine.end(key)
        assert isinstance(await end, Aborted)
        assert STACK == ["cancelled"]
        await engine.host.close()

    run(main())


def test_an_end_reaches_a_sync_function_when_it_waits() -> None:
    async def main() -> None:
        engine = InlineEngine()
        engine.when_finished = lambda _key: False
        key, end = engine.start(waits_for_a_child)
        asyncio.get_running_loop().call_later(0.02, engine.end, key)
        # The answer never comes; the loop goes on turning under the function that waits.
        assert isinstance(await end, Aborted)
        assert STACK == ["child of nobody", "unwound"]
        engine.when_finished = lambda _key: True
        await engine.host.close()

    run(main())


def test_closing_ends_what_still_runs() -> None:
    async def main() -> None:
        engine = InlineEngine()
        engine.when_finished = lambda _key: False
        _, async_end = engine.start(sleeps)
        _, waiting_end = engine.start(first_of_three)
        await asyncio.sleep(0.02)
        await engine.host.close()
        assert isinstance(await async_end, Aborted)
        assert isinstance(await waiting_end, Aborted)

    run(main())


def test_calls_that_an_attempt_left_behind_are_cancelled_when_it_ends() -> None:
    async def main() -> None:
        engine = InlineEngine()
        assert await engine.run(leaves_calls_behind) == 1
        waiting, later = LEFT
        await asyncio.sleep(0.05)
        assert waiting.cancelled()
        assert later.cancelled()
        await engine.host.close()
        assert engine.unfinished == set()

    run(main())


def test_a_loop_that_cannot_be_turned_by_hand_gets_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        engine = InlineEngine()
        monkeypatch.setattr(engine.host, "_can_turn", False)
        assert await engine.run(mixed, n=6) == 12
        found = await engine.run(where)
        assert found[1] != threading.get_ident()
        await engine.host.close()

    run(main())
