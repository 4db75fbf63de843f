"""`python -m tests.simulation`: play many seeds, or show one; `make sim` calls it.

Without `--seed`: plays so many seeds and prints those that broke a law, with their histories. With it: replays exactly
that one and prints its history.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator
from multiprocessing import get_context

from tests.simulation.world import Verdict, simulate

SHOWN = 3
"""So many of the histories that broke a law are printed."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=(__doc__ or "").split(": ")[1])
    parser.add_argument("--seeds", type=int, default=1000, help="how many to play")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--seed", type=int, help="replay this one and print its history")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    if given.seed is not None:
        return show(simulate(given.seed))
    return play(range(given.first, given.first + given.seeds), processes=given.processes)


def show(verdict: Verdict) -> int:
    """Print a history and what it came to."""
    print("\n".join(verdict.history))
    print(f"seed {verdict.seed}: {verdict.broken or 'every law held'}")
    return 1 if verdict.broken else 0


def play(seeds: range, *, processes: int) -> int:
    """Play them all; 1 if one of them broke a law."""
    began = time.monotonic()
    played = engines = attempts = 0
    broken: list[Verdict] = []
    for verdict in _verdicts(seeds, processes):
        played += 1
        engines += verdict.engines
        attempts += verdict.attempts
        if verdict.broken:
            broken.append(verdict)
            if len(broken) <= SHOWN:
                show(verdict)
        if sys.stderr.isatty() and played % 50 == 0:
            print(f"\rsim: {played} of {len(seeds)} seeds", end="", file=sys.stderr, flush=True)
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)
    seconds = time.monotonic() - began
    print(
        f"sim: {played} seeds in {seconds:.0f} s: {engines} engines lived, {attempts} attempts were started, "
        f"{len(broken)} seed(s) broke a law"
    )
    for verdict in broken:
        print(f"  make sim SEED={verdict.seed}   # {verdict.broken}")
    return 1 if broken else 0


def _verdicts(seeds: range, processes: int) -> Iterator[Verdict]:
    if processes == 1:
        yield from map(simulate, seeds)
        return
    with get_context("spawn").Pool(processes) as pool:
        yield from pool.imap_unordered(simulate, seeds, chunksize=20)


if __name__ == "__main__":
    sys.exit(main())
