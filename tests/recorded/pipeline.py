"""What is recorded: runs of every kind, with every kind of row. The recorded homes have it as it was."""

import asyncio
import contextlib
import dataclasses
import os
import pathlib
import time

import volant

env = volant.TaskEnvironment(name="recorded", resources=volant.Resources(cpu="100m"))


@dataclasses.dataclass
class Point:
    """A value with fields."""

    x: int
    names: list[str]


class Box:
    """A value that only a pickle carries."""

    def __init__(self, content: int) -> None:
        self.content = content


def note(text: str) -> None:
    """Tell whoever set the variable what is executed."""
    if log := os.environ.get("RECORDED_LOG"):
        with open(log, "a") as file:
            file.write(f"{text}\n")


@env.task
async def square(n: int) -> int:
    """A leaf that prints."""
    note(f"square {n}")
    print(f"squaring {n}")
    return n * n


@env.task
def large(size: int) -> bytes:
    """A value that is too large for the journal."""
    return bytes(range(256)) * size


@env.task
def boxed(n: int) -> Box:
    """A pickle."""
    return Box(n)


@env.task(retries=2)
def flaky() -> str:
    """Fail once."""
    if volant.ctx().attempt_number == 0:
        raise ConnectionError("the first try")
    return "the second try"


@env.task
def refuse(n: int) -> int:
    """Fail with an error that has something to say."""
    error = ValueError(f"{n} is not wanted", n)
    error.add_note("as every time")
    raise error


@env.task
def gate(n: int) -> int:
    """Wait until whoever runs this lets it through."""
    note(f"gate {n}")
    checkpoint = volant.ctx().checkpoint
    if volant.ctx().attempt_number and checkpoint.load() != b"waiting":
        raise LookupError("what the first attempt saved is gone")
    checkpoint.save(b"waiting")
    while not pathlib.Path(os.environ["RECORDED_GATE"]).exists():
        time.sleep(0.02)
    return n


@volant.trace
async def stamp(n: int) -> int:
    """A step."""
    note(f"stamp {n}")
    return n


@volant.trace
async def reject(n: int) -> int:
    """A step that fails."""
    note(f"reject {n}")
    raise LookupError(n)


@env.task
async def finished(point: Point) -> Point:
    """Every kind of value."""
    with volant.group("squares"):
        squares = await asyncio.gather(*(square(n) for n in range(point.x)))
    data = await large.aio(300)
    box = await boxed.aio(4)
    said = await flaky.aio()
    await volant.durable.sleep.aio(0.01)
    assert 0 <= await volant.durable.random.aio() < 1
    return Point(x=sum(squares) + len(data) + box.content, names=[*point.names, said])


@env.task
async def failed(n: int) -> int:
    """A child's failure that is not caught."""
    return await refuse.aio(n)


@env.task
async def interrupted(n: int) -> int:
    """Some of it is done, some is under way, and some was not begun."""
    with contextlib.suppress(LookupError):
        await reject(n)
    assert await stamp(n) == n
    try:
        await refuse.aio(n)
    except ValueError as error:
        squares = await asyncio.gather(*(square(k) for k in range(n)))
        *waited, _ = await asyncio.gather(gate.aio(1), gate.aio(2), volant.durable.sleep.aio(20))
        return int(error.args[1]) + sum(squares) + sum(waited) + await square(100)
    raise AssertionError
