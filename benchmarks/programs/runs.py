"""P5: runs of no-op actions, one after the other on one engine; inline, so that the engine has all the work.

Some runs come before, which fill the journal's page cache: it is bounded, and its growth says nothing. Prints how long
the others took, in seconds, the most memory that the engine held, in MiB, and how fast what it held after each of them
grew, in KiB per 1,000 actions. The note is the curve.
"""

import asyncio
import json
import statistics
import sys
import threading
import time
from collections.abc import Callable

import psutil

import volant
from volant.api.program import program
from volant.kit.homes import engine_lock_path

BEFORE = 20_000
"""Actions of runs that come before those that are measured."""

env = volant.TaskEnvironment(name="runs")


@env.task
async def nothing(number: int) -> None:
    """A no-op."""


@env.task
async def main(count: int) -> None:
    """All at once."""
    await asyncio.gather(*(nothing(number) for number in range(count)))


class Peak:
    """The most memory of a process, seen by a thread that looks now and then."""

    def __init__(self, read: Callable[[], float]) -> None:
        self._read = read
        self._over = threading.Event()
        self.figure = 0.0
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.1):
            self.figure = max(self.figure, self._read())


def engine() -> psutil.Process:
    """The engine of the home; there is one."""
    lock = engine_lock_path(program.settings().home)
    return psutil.Process(json.loads(lock.read_text())["pid"])


def measure(runs: int, actions: int, mode: str) -> dict[str, object]:
    """Play them; two or more."""
    before = -(-BEFORE // actions)
    start = time.perf_counter()
    curve: list[float] = []
    peak: Peak | None = None
    for number in range(before + runs):
        if number == before:
            start = time.perf_counter()
        volant.with_runcontext(mode=mode, name=f"run{number}").run(main, count=actions)
        process = engine()

        def held(process: psutil.Process = process) -> float:
            return process.memory_full_info().uss / 2**20

        peak = peak or Peak(held)
        curve.append(held())
    took = time.perf_counter() - start
    if peak is not None:
        peak.stop()
    most = max(*curve, 0.0 if peak is None else peak.figure)
    # MiB per run, as KiB per 1,000 actions.
    slope = statistics.linear_regression(range(runs), curve[before:]).slope * 1024 * 1000 / (actions + 1)
    first, then = (" ".join(f"{each:.1f}" for each in part) for part in (curve[:before], curve[before:]))
    note = (
        f"engine after each {actions:,} actions, in MiB: {first} (caches fill), {then}: {slope:+.1f} KiB per 1,000 "
        f"actions; {most:.1f} MiB at most"
    )
    return {"seconds": took, "memory": most, "growth": slope, "note": note}


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])))
