"""What type checkers see through tasks: checked by `test_typing.py`, never run."""

import asyncio
import functools
from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import Any, assert_type

from volant.authoring.caching import Cache
from volant.authoring.environment import TaskEnvironment
from volant.authoring.mapping import map as volant_map
from volant.authoring.resources import GPU, Resources
from volant.authoring.reuse import ReusePolicy
from volant.authoring.task import SyncTask, Task
from volant.model.specs import ActionSpec

env = TaskEnvironment(
    "typed",
    image="auto",
    resources=Resources(cpu=("500m", 2), memory="1Gi", gpu=GPU("A100", 2)),
    env_vars={"A": "1"},
    secrets=["key"],
    depends_on=[TaskEnvironment(name="other")],
    description="Typed.",
    include=("*.py",),
    cache="auto",
    reusable=ReusePolicy(replicas=(1, 2), idle_ttl=30),
    queue="gpu",
)


@env.task
async def delays(carrier: str, month: int = 1) -> dict[str, float]:
    return {carrier: float(month)}


@env.task(retries=2, cache=Cache("auto", ignored_inputs="n"), timeout=1.5, links=())
async def total(n: int, *, factor: float = 1.0) -> float:
    return n * factor


@env.task
def double(n: int) -> int:
    return 2 * n


@env.task()
def label(n: int, text: str = "") -> str:
    return f"{text}{n}"


@env.task
async def nothing() -> None: ...


def function(n: int) -> list[int]:
    return [n]


made = env.task(function, short_name="made")


async def calls() -> None:
    call: Coroutine[Any, Any, dict[str, float]] = delays("AA", 7)
    assert_type(await call, dict[str, float])
    assert_type(await delays("AA", month=7), dict[str, float])
    assert_type(await total(1, factor=2.0), float)
    assert_type(await delays.aio("AA"), dict[str, float])
    assert_type(await double.aio(1), int)
    assert_type(await label.aio(1, text="x"), str)
    assert_type(double(1), int)
    assert_type(label(n=1), str)
    assert_type(made(1), list[int])
    assert_type(await nothing(), None)
    assert_type(await asyncio.gather(delays("AA"), total(1), double.aio(2)), tuple[dict[str, float], float, int])
    assert_type(await asyncio.gather(*(total(n) for n in range(3))), list[float])
    assert_type(await asyncio.wait_for(total(1), 5), float)
    async with asyncio.TaskGroup() as group:
        assert_type(group.create_task(total(1)), asyncio.Task[float])


async def overrides() -> None:
    assert_type(await delays.override(retries=0)("AA"), dict[str, float])
    assert_type(double.override(resources=Resources(cpu=2), reusable="off", env_vars={})(1), int)
    assert_type(await double.override(timeout=5).override(queue="gpu").aio(1), int)
    assert_type(double.override().spec(), ActionSpec)
    assert_type(double.name.upper(), str)


def generic_over_tasks() -> None:
    def name_of(task: Task[..., object]) -> str:
        return task.name

    name_of(delays)
    name_of(double)
    one: SyncTask[..., int] = double
    several: list[Task[..., Any]] = [delays, double, one]
    assert_type(several[0], Task[..., Any])
    clone = env.clone_with("clone", cache="auto", env_vars={}, reusable="off")
    clone.resources = Resources(cpu=1)
    assert_type(clone, TaskEnvironment)


def mapping() -> None:
    assert_type(volant_map(double, [1, 2]), Iterator[int | Exception])
    assert_type(volant_map(double, [1, 2], return_exceptions=True, concurrency=2), Iterator[int | Exception])
    assert_type(volant_map(double, range(3), return_exceptions=False), Iterator[int])
    assert_type(volant_map(total, [1, 2], return_exceptions=False), Iterator[float])
    assert_type(volant_map(delays, ["AA"], [1]), Iterator[dict[str, float] | Exception])
    assert_type(volant_map(label, [1], ["x"], group_name="g", return_exceptions=False), Iterator[str])
    assert_type(volant_map(three, [1], ["a"], [1.0], return_exceptions=False), Iterator[bytes])
    assert_type(volant_map(functools.partial(delays, month=3), ["AA"]), Iterator[dict[str, float] | Exception])
    assert_type(volant_map(functools.partial(label, text="x"), [1], return_exceptions=False), Iterator[str])


@env.task
def three(a: int, b: str, c: float) -> bytes:
    return b""


async def mapping_aio() -> None:
    assert_type(volant_map.aio(double, [1, 2]), AsyncIterator[int | Exception])
    async for result in volant_map.aio(total, [1, 2], return_exceptions=False, concurrency=5):
        assert_type(result, float)
    assert_type(
        volant_map.aio(functools.partial(delays, month=3), ["AA"], return_exceptions=False),
        AsyncIterator[dict[str, float]],
    )
