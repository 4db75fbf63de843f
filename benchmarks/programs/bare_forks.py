"""The yardstick of P2, and the floor under P3 and P4: fork, do nothing, wait, again.

Forking copies page tables, so its price depends on what the parent holds. A bare interpreter would be a yardstick for
something else, so this one first imports what our zygote imports. Prints forks a second, or the median or the sum of
their times in seconds.
"""

import importlib
import json
import os
import runpy
import statistics
import sys
import time
from pathlib import Path

ZYGOTE = "volant.wiring.zygote"


def main(count: int, figure: str) -> None:
    try:
        importlib.import_module(ZYGOTE)
    except ModuleNotFoundError as error:
        if error.name is None or not ZYGOTE.startswith(error.name):
            raise
        print(f"WARNING: there is no {ZYGOTE}; forking an interpreter with less in it", file=sys.stderr)
        importlib.import_module("volant")
        importlib.import_module("asyncio")
    runpy.run_path(str(Path(__file__).with_name("fanout.py")), run_name="fanout")

    times: list[float] = []
    for _ in range(count):
        start = time.perf_counter()
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
        times.append(time.perf_counter() - start)
    figures = {"rate": count / sum(times), "median": statistics.median(times), "sum": sum(times)}
    print(json.dumps({"figure": figures[figure]}))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
