"""`volant.map`: in order, bounded, closed early, and with exceptions among the results."""

import asyncio
import functools
import itertools
import threading
from collections.abc import AsyncGenerator, Generator
from typing import Any, cast

import pytest

from tests.authoring.sessions import LocalSession
from volant.authoring.context import group
from volant.authoring.environment import TaskEnvironment
from volant.authoring.mapping import map as volant_map
from volant.model.errors import (
    ArgumentError,
    DefinitionError,
    NotSupportedError,
    SyncTaskCallInAsyncContextError,
    UnknownParameterError,
)

ENV = TaskEnvironment("mapping")
gates: dict[int, threading.Event] = {}


@ENV.task
def square(n: int) -> int:
    return n * n


@ENV.task
async def square_aio(n: int) -> int:
    # Later inputs end first.
    for _ in range(20 - 2 * n):
        await asyncio.sleep(0)
    return n * n


@ENV.task
def add(a: int, b: int, c: int = 0) -> int:
    return a + b + c


@ENV.task
def inverse(n: int) -> float:
    return 1 / n


@ENV.task
async def forever(n: int) -> int:
    if n:
        await asyncio.Event().wait()
    return n


@ENV.task
def opens_when_all_are_there(n: int) -> int:
    gates[n].set()
    for gate in gates.values():
        assert gate.wait(60)
    return n


@ENV.task
def first_waits_for_last(n: int) -> int:
    gates[n].set()
    if n == 0:
        assert gates[len(gates) - 1].wait(60)
    return n


async def _all(results: Any) -> list[Any]:
    return [result async for result in results]


def _kinds(results: list[Any]) -> list[Any]:
    return [type(result) if isinstance(result, Exception) else result for result in results]


def test_outside_a_run_map_calls_the_function() -> None:
    assert list(volant_map(square, [1, 2, 3])) == [1, 4, 9]
    assert list(volant_map(square_aio, [1, 2, 3])) == [1, 4, 9]
    assert asyncio.run(_all(volant_map.aio(square, [1, 2]))) == [1, 4]
    assert asyncio.run(_all(volant_map.aio(square_aio, [1, 2]))) == [1, 4]
    assert _kinds(list(volant_map(inverse, [1, 0, 2]))) == [1.0, ZeroDivisionError, 0.5]


@pytest.mark.parametrize("concurrency", [0, 1, 2, 100])
def test_results_come_in_the_order_of_the_inputs(session: LocalSession, concurrency: int) -> None:
    wanted = [n * n for n in range(10)]
    assert list(volant_map(square, range(10), concurrency=concurrency)) == wanted
    assert list(volant_map(square_aio, range(10), concurrency=concurrency)) == wanted
    assert asyncio.run(_all(volant_map.aio(square_aio, range(10), concurrency=concurrency))) == wanted
    assert asyncio.run(_all(volant_map.aio(square, range(10), concurrency=concurrency))) == wanted
    assert len(session.calls) == 40


def test_calls_of_a_sync_caller_run_at_once(session: LocalSession) -> None:
    gates.clear()
    gates.update({n: threading.Event() for n in range(4)})
    assert list(volant_map(opens_when_all_are_there, range(4))) == [0, 1, 2, 3]
    assert session.most_at_once == 4


@pytest.mark.parametrize("concurrency", [1, 3])
def test_concurrency_bounds_calls_under_way(session: LocalSession, concurrency: int) -> None:
    list(volant_map(square, range(20), concurrency=concurrency))
    asyncio.run(_all(volant_map.aio(square_aio, range(9), concurrency=concurrency)))
    assert session.most_at_once <= concurrency


def test_a_slow_call_does_not_hold_back_later_ones_of_async_code(session: LocalSession) -> None:
    async def parent() -> list[int]:
        results = volant_map.aio(forever, [1, 0, 0, 0, 0], concurrency=2)
        waiting = asyncio.ensure_future(anext(results))
        while len(session.calls) < 5:
            await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        return [cast(int, call.arguments["n"]) for call in session.calls]

    assert asyncio.run(parent()) == [1, 0, 0, 0, 0]
    assert session.cancelled == [{"n": 1}]


def test_a_slow_call_does_not_hold_back_later_ones_of_sync_code(session: LocalSession) -> None:
    gates.clear()
    gates.update({n: threading.Event() for n in range(5)})
    assert list(volant_map(first_waits_for_last, range(5), concurrency=2)) == [0, 1, 2, 3, 4]
    assert session.most_at_once == 2


def test_inputs_are_taken_as_they_are_needed(session: LocalSession) -> None:
    results = volant_map(square, itertools.count(), concurrency=2)
    assert [next(results), next(results)] == [0, 1]
    assert len(session.calls) <= 4
    cast("Generator[int]", results).close()


def test_several_inputs_end_with_the_shortest(session: LocalSession) -> None:
    assert list(volant_map(add, [1, 2, 3], [10, 20])) == [11, 22]
    assert list(volant_map(add, [1, 2], [10, 20], [100, 200])) == [111, 222]


def test_a_partial_of_a_task_gives_the_rest(session: LocalSession) -> None:
    assert list(volant_map(functools.partial(add, 1, c=5), [10, 20])) == [16, 26]
    assert asyncio.run(_all(volant_map.aio(functools.partial(add, b=1), [10, 20]))) == [11, 21]
    assert session.calls[0].arguments == {"a": 1, "b": 10, "c": 5}


def test_exceptions_are_among_the_results(session: LocalSession) -> None:
    wanted = [1.0, ZeroDivisionError, 0.5]
    assert _kinds(list(volant_map(inverse, [1, 0, 2]))) == wanted
    assert _kinds(asyncio.run(_all(volant_map.aio(inverse, [1, 0, 2])))) == wanted


def test_exceptions_raise_when_asked_for_and_the_rest_is_cancelled(session: LocalSession) -> None:
    results = volant_map(inverse, [1, 0, 2, 4], return_exceptions=False)
    assert next(results) == 1.0
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert {"n": 4} in session.cancelled

    async def parent() -> None:
        async for _ in volant_map.aio(inverse, [1, 0, 2], return_exceptions=False):
            pass

    with pytest.raises(ZeroDivisionError):
        asyncio.run(parent())


def test_closing_early_cancels_the_rest(session: LocalSession) -> None:
    results = volant_map(square, range(5))
    assert next(results) == 0
    cast("Generator[int]", results).close()
    assert [call["n"] for call in session.cancelled] == [1, 2, 3, 4]
    session.cancelled.clear()

    async def parent() -> None:
        results = cast("AsyncGenerator[int]", volant_map.aio(forever, [0, 1, 2]))
        assert await anext(results) == 0
        await results.aclose()
        assert [call["n"] for call in session.cancelled] == [1, 2]

    asyncio.run(parent())


def test_calls_carry_the_group_of_the_map(session: LocalSession) -> None:
    with group("outer"):
        named = volant_map(square, [1], group_name="inner")
        unnamed = volant_map(square, [1])
    list(named), list(unnamed), list(volant_map(square, [1], group_name="alone"))
    assert [call.group for call in session.calls] == ["outer/inner", "outer", "alone"]


def test_nothing_is_started_before_the_first_result_is_asked_for(session: LocalSession) -> None:
    volant_map(square, [1, 2])
    assert session.calls == []


def test_inputs_that_do_not_bind_raise(session: LocalSession) -> None:
    with pytest.raises(ArgumentError, match=r"task 'mapping.square'"):
        next(volant_map(functools.partial(square, m=1), [1]))
    with pytest.raises(ArgumentError, match=r"task 'mapping.square'"):
        asyncio.run(_all(volant_map.aio(functools.partial(square, m=1), [1])))
    with pytest.raises(NotSupportedError, match="secrets"):
        next(volant_map(square.override(secrets="key"), [1]))
    assert session.calls == []


def test_a_sync_map_in_async_code_names_the_way(session: LocalSession) -> None:
    async def parent() -> None:
        volant_map(square, [1])

    with pytest.raises(
        SyncTaskCallInAsyncContextError, match=r"volant.map of 'mapping.square' is called from"
    ) as caught:
        asyncio.run(parent())
    assert caught.value.hint is not None
    assert "volant.map.aio" in caught.value.hint


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: volant_map(lambda n: n, [1]),
            ArgumentError,
            "found <function .*, expected a task or a functools.partial",
        ),
        (lambda: volant_map(functools.partial(print), [1]), ArgumentError, "found <built-in function print>, expected"),
        (
            lambda: volant_map(square),
            ArgumentError,
            "'mapping.square' has no inputs, expected one iterable per argument",
        ),
        (
            lambda: volant_map(square, [1], concurrency=-1),
            DefinitionError,
            "concurrency is -1, expected an int, 0 or more",
        ),
        (lambda: volant_map(square, [1], concurrency=1.5), DefinitionError, "concurrency is 1.5"),
        (lambda: volant_map(square, [1], return_exceptions=1), DefinitionError, "return_exceptions is 1"),
        (lambda: volant_map(square, [1], group_name=""), DefinitionError, "group_name is ''"),
        (
            lambda: volant_map(square, [1], concurency=1),
            UnknownParameterError,
            "'concurency'; did you mean 'concurrency'",
        ),
        (lambda: volant_map.aio(square), ArgumentError, "has no inputs"),
    ],
)
def test_a_request_that_cannot_be_is_refused_at_once(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()
