"""P2, ours: many actions at once, each in its own process. Prints how many a second."""

import asyncio
import json
import os
import sys
import time

import volant

env = volant.TaskEnvironment(name="fanout")


@env.task
async def leaf(number: int) -> tuple[int, int]:
    return os.getpid(), os.getsid(0)


@env.task
async def main(count: int) -> float:
    start = time.perf_counter()
    found = await asyncio.gather(*(leaf(number) for number in range(count)))
    took = time.perf_counter() - start
    # Pids may come round again; sessions led by somebody else, or a handful of pids, mean shared processes.
    if any(process != session for process, session in found) or len({process for process, _ in found}) < 0.9 * count:
        raise AssertionError(f"wanted {count} processes leading their own sessions, found {len(set(found))}")
    return count / took


if __name__ == "__main__":
    (rate,) = volant.run(main, count=int(sys.argv[1])).outputs()
    print(json.dumps({"figure": rate}))
