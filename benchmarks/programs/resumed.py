"""What P7 kills: one wide run, whose tasks and whose parent write down when what happened."""

import asyncio
import os
import sys
import time

import volant

env = volant.TaskEnvironment(name="resumed")


def note(log: str, word: str, number: int) -> None:
    """Add a line with the time; one write, so that lines of several processes do not mix."""
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{word} {number} {time.time():.6f}\n".encode())
    os.close(file)


@env.task
async def leaf(number: int, log: str) -> int:
    """A no-op that says that it is executed."""
    note(log, "executed", number)
    return number


async def heard(number: int, log: str) -> int:
    """Call one, and say that its outcome was told."""
    found = await leaf(number, log)
    note(log, "told", number)
    return found


@env.task
async def main(count: int, log: str) -> int:
    """All at once."""
    note(log, "parent", 0)
    return sum(await asyncio.gather(*(heard(number, log) for number in range(count))))


if __name__ == "__main__":
    volant.with_runcontext(name=sys.argv[1]).run(main, count=int(sys.argv[2]), log=sys.argv[3])
