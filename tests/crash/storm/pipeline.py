"""What the storm runs: parents that shuffle, race and pickle, and a log outside of everything.

Copied into the project of each round. What it returns does not depend on what was killed.
"""

import asyncio
import hashlib
import os
import random
import time
from collections.abc import Awaitable, Callable

import volant

env = volant.TaskEnvironment(name="storm", resources=volant.Resources(cpu="200m"))
AT_ONCE = 6
"""Groups of which calls are under way."""


def note(log: str, *words: str) -> None:
    """Add a line that survives whatever comes next."""
    with open(log, "ab", buffering=0) as file:
        file.write((" ".join(words) + "\n").encode())
        os.fsync(file.fileno())


def executed(log: str, key: str) -> None:
    """Say first of all that this is executed."""
    note(log, "executed", key, volant.ctx().action.name)


def value(key: str) -> int:
    """What a task has to return for a key."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:6], "big")


def seconds(key: str) -> float:
    """How long a task takes; it differs, so that no order is likelier than others."""
    return value(f"seconds of {key}") % 40 / 1000


class Box:
    """Neither a model nor annotated, and with a closure in it: nothing but a pickle carries it, in a blob."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.weight = key.encode() * 10_000
        self.open: Callable[[], int] = lambda: value(key)


class RefusedError(Exception):
    """What some tasks end with, for good."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


@env.task
async def leaf(key: str, log: str) -> int:
    """Wait a little."""
    executed(log, key)
    await asyncio.sleep(seconds(key))
    return value(key)


@env.task
def steady(key: str, log: str) -> int:
    """The same in a sync task."""
    executed(log, key)
    time.sleep(seconds(key))
    return value(key)


@env.task(retries=3)
def flaky(key: str, log: str) -> int:
    """Fail at the first try."""
    executed(log, key)
    if volant.ctx().attempt_number == 0:
        note(log, "failed", key)
        raise RuntimeError(key)
    return value(key)


@env.task
async def refuse(key: str, log: str) -> int:
    """Fail always: that is told too, and holds."""
    executed(log, key)
    raise RefusedError(key)


@env.task
async def racer(key: str, side: str, log: str) -> int:
    """One of two."""
    executed(log, f"{key}.{side}")
    await asyncio.sleep(seconds(f"{key}.{side}"))
    return value(key)


@env.task
async def pack(key: str, log: str) -> Box:
    """Return what can only be pickled."""
    executed(log, key)
    return Box(key)


@env.task
async def unpack(box: Box, key: str, log: str) -> int:
    """Take what can only be pickled: such calls are told apart by their order."""
    executed(log, key)
    if box.key != key.replace("unpack", "pack"):
        raise AssertionError(f"{key} was given the box of {box.key}")
    return box.open()


@env.task
async def pair(key: str, log: str) -> int:
    """A parent below a parent."""
    executed(log, key)
    keys = [f"{key}.{n}" for n in range(2)]
    random.shuffle(keys)
    return sum([await _hear(log, each, leaf(each, log)) for each in keys])


@env.task
async def group(number: int, width: int, log: str) -> int:
    """Everything at once, in another order at every execution."""
    key = f"group{number}"
    executed(log, key)
    calls = [_plain(log, f"{key}.leaf{n}", leaf if n % 2 else steady.aio) for n in range(width)]
    calls += [
        _plain(log, f"{key}.flaky", flaky.aio),
        _plain(log, f"{key}.pair", pair),
        _refused(log, f"{key}.refuse"),
        _race(log, f"{key}.race"),
        _boxes(log, key),
    ]
    random.shuffle(calls)
    return sum(await asyncio.gather(*calls))


@env.task
async def main(groups: int, width: int, log: str) -> str:
    """A fingerprint of everything that was returned."""
    executed(log, "main")
    numbers = list(range(groups))
    random.shuffle(numbers)
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> tuple[int, int]:
        async with gate:
            return number, await _hear(log, f"group{number}", group(number, width, log))

    found = sorted(await asyncio.gather(*(one(number) for number in numbers)))
    return hashlib.sha256(repr(found).encode()).hexdigest()


async def _hear(log: str, key: str, call: Awaitable[int]) -> int:
    found = await call
    note(log, "heard", key)
    return found


async def _plain(log: str, key: str, task: Callable[[str, str], Awaitable[int]]) -> int:
    return await _hear(log, key, task(key, log))


async def _refused(log: str, key: str) -> int:
    try:
        await refuse(key, log)
    except RefusedError as error:
        note(log, "heard", key)
        return value(error.key)
    raise AssertionError(f"{key} was not refused")


async def _race(log: str, key: str) -> int:
    async def run(side: str) -> tuple[str, int]:
        return side, await racer(key, side, log)

    sides = ["left", "right"]
    random.shuffle(sides)
    racers = [asyncio.create_task(run(side)) for side in sides]
    side, found = await next(asyncio.as_completed(racers))
    note(log, "won", key, side)
    note(log, "heard", f"{key}.{side}")
    for each in racers:
        each.cancel()
    await asyncio.gather(*racers, return_exceptions=True)
    return found


async def _boxes(log: str, key: str) -> int:
    found = 0
    for name in ("a", "b"):
        box = await pack(f"{key}.pack.{name}", log)
        note(log, "heard", f"{key}.pack.{name}")
        found += await _hear(log, f"{key}.unpack.{name}", unpack(box, f"{key}.unpack.{name}", log))
    return found
