"""Racing: take the first answer, and stop the others.

    volant run examples/racing.py main

A cancelled call is a killed process: the losers end as soon as there is a winner, whatever they were doing.
"""

import asyncio
import time

import volant

env = volant.TaskEnvironment(name="racing")


@env.task
async def search(strategy: str, seconds: float) -> str:
    """Pretend to search; the slow strategies would take for ever."""
    await asyncio.sleep(seconds)
    return f"found by {strategy}"


@env.task
def stubborn(strategy: str) -> str:
    """A sync task that never looks up from its work."""
    while True:
        time.sleep(3600)


@env.task
async def main() -> str:
    """The first answer wins."""
    racers = [
        asyncio.create_task(search("a guess", 0.2)),
        asyncio.create_task(search("an exhaustive scan", 3600.0)),
        asyncio.create_task(stubborn.aio("a lost bet")),
    ]
    done, pending = await asyncio.wait(racers, return_when=asyncio.FIRST_COMPLETED)
    for racer in pending:
        racer.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    try:
        return await asyncio.wait_for(search("patience", 3600.0), timeout=0.2)
    except TimeoutError:
        return done.pop().result()


if __name__ == "__main__":
    run = volant.run(main)
    print(run.name, run.phase, run.outputs())
