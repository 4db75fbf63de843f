"""P4, ours: one run of many leaves, each in its own process. Prints the seconds from the call to the result."""

import asyncio
import json
import sys
import time

import volant

env = volant.TaskEnvironment(name="leaves")


@env.task
async def leaf(number: int) -> int:
    return number


@env.task
async def main(count: int) -> int:
    return sum(await asyncio.gather(*(leaf(number) for number in range(count))))


if __name__ == "__main__":
    count = int(sys.argv[1])
    start = time.perf_counter()
    (total,) = volant.run(main, count=count).outputs()
    took = time.perf_counter() - start
    if total != sum(range(count)):
        raise AssertionError(f"wanted {sum(range(count))}, found {total}")
    print(json.dumps({"figure": took}))
