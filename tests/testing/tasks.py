"""Tasks that tests of the plugin run."""

import asyncio
import os
import sys
from datetime import timedelta

import volant

env = volant.TaskEnvironment(name="weather")
HOURLY = volant.RetryStrategy(count=3, backoff=volant.Backoff(base=timedelta(hours=1), factor=2.0))
TRACE: list[str] = []
"""What happened in this process, in order."""


class NoForecastError(LookupError):
    """There is no forecast for a place."""

    def __init__(self, *, place: str) -> None:
        super().__init__(f"no forecast for {place}")
        self.place = place


@env.task(retries=HOURLY)
async def forecast(place: str, day: int = 0) -> float:
    """Fails three times, then knows."""
    TRACE.append(f"forecast {place} {volant.ctx().attempt_number}")
    print(f"asking for {place}")
    if volant.ctx().attempt_number < 3:
        raise NoForecastError(place=place)
    return len(place) + day / 10


@env.task
async def warmest(places: list[str]) -> str:
    """The place with the highest forecast."""
    found = await asyncio.gather(*(forecast(place) for place in places))
    return places[found.index(max(found))]


@env.task
def station(name: str, /, *, height: int = 2) -> int:
    """A sync task with a positional parameter."""
    return len(name) * height


@env.task
def stations() -> tuple[int, str]:
    """Calls a sync task, and warns on standard error."""
    print("counting", file=sys.stderr)
    return station("abc", height=3), "done"


@env.task
async def slow() -> int:
    """Works for a moment of real time."""
    await asyncio.sleep(0.05)
    TRACE.append("slow is done")
    return 1


@env.task
async def race() -> float:
    """A task that works beside one that backs off for hours."""
    value, _ = await asyncio.gather(forecast("Oslo"), slow())
    return value


@env.task
async def first_of_two() -> str:
    """Takes what works now, and calls off what backs off for hours."""
    racers = [asyncio.create_task(forecast("Oslo")), asyncio.create_task(slow())]
    done, pending = await asyncio.wait(racers, return_when=asyncio.FIRST_COMPLETED)
    for racer in pending:
        racer.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    return str(done.pop().result())


@env.task
async def hopeless() -> int:
    """Catches nothing."""
    raise NoForecastError(place="Atlantis")


@env.task
async def parent_of_hopeless() -> int:
    """Fails with what its child raised."""
    return await hopeless()


@env.task
async def process_id() -> int:
    """Where the attempt runs."""
    return os.getpid()


AT_WORK: set[str] = set()
"""Attempts that do something in real time right now."""
OVERTAKEN: list[str] = []
"""Attempts at work while time was jumped over."""


async def work(name: str) -> None:
    """Takes a moment of real time."""
    AT_WORK.add(name)
    await asyncio.sleep(0.001 * (hash(name) % 3))
    AT_WORK.remove(name)


@env.task
async def patient(number: int) -> int:
    """Works, fails, and is tried again after a time that no other one waits for."""
    attempt = volant.ctx().attempt_number
    if attempt:
        OVERTAKEN.extend(AT_WORK)
    await work(f"patient {number}-{attempt}")
    if attempt < 3:
        raise NoForecastError(place=str(number))
    return number


@env.task
async def one_after_another(numbers: list[int]) -> int:
    """Works between its calls too."""
    total = 0
    for number in numbers:
        wait = timedelta(hours=1, microseconds=2**number)
        policy = volant.RetryStrategy(count=3, backoff=volant.Backoff(base=wait))
        total += await patient.override(retries=policy)(number)
        await work(f"one after another {number}")
    return total


@env.task
async def side_by_side(width: int, length: int) -> int:
    """Several chains at once."""
    chains = [[row * length + column for column in range(length)] for row in range(width)]
    return sum(await asyncio.gather(*(one_after_another(chain) for chain in chains)))


async def meanwhile() -> None:
    """A test puts something else here."""


@env.task
async def interrupted() -> None:
    """Awaits whatever a test put there."""
    await meanwhile()


@env.task
async def reminds(days: int) -> float:
    """Sleep for days, durably, and say how many have passed."""
    began = await volant.durable.now.aio()
    for _ in range(days):
        await volant.durable.sleep.aio(86_400)
    return (await volant.durable.now.aio() - began).total_seconds()


@env.task
def reminds_blocking(days: int) -> float:
    """The same in sync code."""
    began = volant.durable.time()
    for _ in range(days):
        volant.durable.sleep(86_400)
    return volant.durable.time() - began
