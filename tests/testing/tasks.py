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


async def meanwhile() -> None:
    """A test puts something else here."""


@env.task
async def interrupted() -> None:
    """Awaits whatever a test put there."""
    await meanwhile()
