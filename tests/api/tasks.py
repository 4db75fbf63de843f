"""Tasks that the tests run; a module of their own, as users have it."""

import asyncio
from typing import NamedTuple

import volant

env = volant.TaskEnvironment(name="api-tests")


class Stats(NamedTuple):
    mean: float
    count: int


@env.task
async def double(number: int) -> int:
    return 2 * number


@env.task
def plus(number: int, more: int = 1) -> int:
    return number + more


@env.task
async def both(number: int) -> int:
    return await double(number) + await plus.aio(number)


@env.task
async def stats(numbers: list[float]) -> Stats:
    return Stats(sum(numbers) / len(numbers), len(numbers))


@env.task
async def pair() -> tuple[int, str]:
    return 1, "x"


@env.task
async def nothing() -> None:
    print("said nothing")


@env.task
async def fails(key: str) -> str:
    return {"known": "value"}[key]


@env.task
async def sleeps(seconds: float = 1000.0) -> None:
    await asyncio.sleep(seconds)


@env.task
async def large(data: bytes) -> bytes:
    return data[::-1]


@env.task
async def context() -> dict[str, str]:
    import os

    return {name: value for name, value in os.environ.items() if name.startswith("API_TEST_")}


@env.task
async def runs_itself() -> str:
    run = await volant.run.aio(double, 1)
    return run.name
