"""P3, ours: one action after the other, each in its own process. Prints the median time of one, in seconds."""

import json
import statistics
import sys
import time

import volant

env = volant.TaskEnvironment(name="chain")


@env.task
async def step(number: int) -> int:
    return number


@env.task
async def main(count: int) -> float:
    times: list[float] = []
    for number in range(count):
        start = time.perf_counter()
        await step(number)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


if __name__ == "__main__":
    (median,) = volant.run(main, count=int(sys.argv[1])).outputs()
    print(json.dumps({"figure": median}))
