"""P3 and P4 on Flyte 2, local mode: tasks are called in this process and nothing is durable."""

import asyncio
import json
import statistics
import sys
import time

import flyte

env = flyte.TaskEnvironment(name="peer")


@env.task
async def step(number: int) -> int:
    return number


@env.task
async def chain(count: int) -> float:
    times: list[float] = []
    for number in range(count):
        start = time.perf_counter()
        await step(number)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


@env.task
async def leaves(count: int) -> int:
    return sum(await asyncio.gather(*(step(number) for number in range(count))))


def main(workload: str, count: int) -> None:
    flyte.init()
    local = flyte.with_runcontext(mode="local")
    start = time.perf_counter()
    if workload == "chain":
        (figure,) = local.run(chain, count=count).outputs()
    else:
        (total,) = local.run(leaves, count=count).outputs()
        figure = time.perf_counter() - start
        if total != sum(range(count)):
            raise AssertionError(f"wanted {sum(range(count))}, found {total}")
    print(json.dumps({"figure": figure}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
