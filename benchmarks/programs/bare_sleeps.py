"""The yardstick of P6: as many sleeps of asyncio, in the memory of one process, which nothing survives.

Prints the 99th percentile of how late they ended, in seconds, or the memory of the process, in MiB.
"""

import asyncio
import json
import math
import sys
import time

import psutil


async def nap(seconds: float) -> float:
    """How late it ended."""
    due = time.monotonic() + seconds
    await asyncio.sleep(seconds)
    return time.monotonic() - due


async def main(count: int, figure: str) -> None:
    spread = 0.75 * count / 1000
    naps = [asyncio.ensure_future(nap(2 + spread * number / count)) for number in range(count)]
    await asyncio.sleep(1)
    memory = psutil.Process().memory_info().rss / 2**20
    late = sorted(await asyncio.gather(*naps))
    figures = {"late": late[math.ceil(0.99 * count) - 1], "memory": memory}
    print(json.dumps({"figure": figures[figure]}))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
