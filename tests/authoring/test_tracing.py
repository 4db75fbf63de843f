"""`@volant.trace` where nothing is recorded: the plain function, with its signature; and what cannot be traced."""

import asyncio
import inspect
from collections.abc import AsyncGenerator, Generator
from typing import Any

import pytest

import volant
from volant.model.errors import DefinitionError, DefinitionTypeError

env = volant.TaskEnvironment(name="plain_traces")


@volant.trace
async def doubled(n: int, *more: int, factor: int = 2) -> int:
    """Twice as much."""
    return n * factor + sum(more)


@volant.trace
def halved(n: int) -> float:
    return n / 2


@volant.trace
def echoes(first: str) -> Generator[str, str, int]:
    heard = yield first
    again = yield heard
    return len(again)


@volant.trace
async def echoes_later(first: str) -> AsyncGenerator[str, str]:
    heard = yield first
    yield heard


def test_outside_a_run_it_is_the_plain_function() -> None:
    assert asyncio.run(doubled(2, 1, factor=3)) == 7
    assert halved(3) == 1.5

    def driven() -> Generator[str, str, int]:
        return (yield from echoes("a"))

    generator = driven()
    assert [next(generator), generator.send("b")] == ["a", "b"]
    with pytest.raises(StopIteration) as stop:
        generator.send("four")
    assert stop.value.value == 4

    async def later() -> list[str]:
        found = echoes_later("a")
        return [await anext(found), await found.asend("b")]

    assert asyncio.run(later()) == ["a", "b"]


def test_it_keeps_what_is_known_of_the_function() -> None:
    assert doubled.__name__ == "doubled"
    assert doubled.__doc__ == "Twice as much."
    assert str(inspect.signature(doubled)) == "(n: int, *more: int, factor: int = 2) -> int"
    assert inspect.iscoroutinefunction(doubled)


def test_a_sync_one_may_be_called_from_async_code_outside_a_run() -> None:
    async def code() -> float:
        return halved(5)

    assert asyncio.run(code()) == 2.5


def test_methods_can_be_traced() -> None:
    class Counter:
        def __init__(self) -> None:
            self.n = 0

        @volant.trace
        def up(self, by: int) -> int:
            self.n += by
            return self.n

    counter = Counter()
    assert [counter.up(1), counter.up(2)] == [1, 3]


@env.task
async def a_task() -> None: ...


class _Something:
    def __call__(self) -> None: ...


@pytest.mark.parametrize(
    ("function", "kind", "said", "hint"),
    [
        (
            a_task,
            DefinitionError,
            "@volant.trace: <task plain_traces.a_task> is a task, which is recorded already, expected a function",
            "leave @volant.trace out",
        ),
        (
            staticmethod(halved),
            DefinitionTypeError,
            "@volant.trace: found a staticmethod, expected a function",
            "put @volant.trace below @staticmethod",
        ),
        (
            _Something,
            DefinitionTypeError,
            "@volant.trace: found <class 'tests.authoring.test_tracing._Something'>, expected a function",
            "it has no parameters: @volant.trace above a def or async def",
        ),
        (
            3,
            DefinitionTypeError,
            "@volant.trace: found 3, expected a function",
            "it has no parameters: @volant.trace above a def or async def",
        ),
    ],
)
def test_what_cannot_be_traced_says_why(function: Any, kind: type[DefinitionError], said: str, hint: str) -> None:
    with pytest.raises(kind) as raised:
        volant.trace(function)
    assert (str(raised.value), raised.value.hint) == (said, hint)
