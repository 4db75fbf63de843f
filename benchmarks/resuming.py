"""P7: kill -9 the engine during a wide run, and later everything: engine, zygotes, workers, client.

    python -m benchmarks.resuming 10000

Prints the seconds until the next action was dispatched: after the engine's death, of which the client takes notice
itself, and from asking for the next engine where nobody was left. What counts is the first line of user code that was
executed. The run is then left to its end, and each line of its log is looked at: a law that is broken is an error.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import volant
from tests.crash.storm.victims import Victims, kill
from volant.api.program import program

PIPELINE = Path(__file__).resolve().parent / "programs" / "resumed.py"
NAME = "resumed"
PATIENCE = 120.0
"""Seconds without what is waited for, after which something is wrong."""


class Line(NamedTuple):
    """Of the log."""

    word: str
    """What happened: executed, told, parent."""
    number: int
    at: float


class Log:
    """What the tasks and their parent wrote down."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def lines(self) -> list[Line]:
        """All so far, in their order; one that is being written is left out."""
        written = self.path.read_text() if self.path.exists() else ""
        parts = [line.split() for line in written[: written.rfind("\n") + 1].splitlines()]
        return [Line(word, int(number), float(at)) for word, number, at in parts]

    def count(self, word: str) -> int:
        """How often this happened."""
        return sum(line.word == word for line in self.lines())

    def first_after(self, at: float, *words: str) -> float | None:
        """Seconds until the first of these happened."""
        return next((line.at - at for line in self.lines() if line.word in words and line.at > at), None)


def until(what: str, happened: Callable[[], bool]) -> None:
    """Return when it has."""
    give_up = time.monotonic() + PATIENCE
    while not happened():
        if time.monotonic() > give_up:
            msg = f"waited {PATIENCE:g} s in vain until {what}"
            raise TimeoutError(msg)
        time.sleep(0.02)


def measure(size: int, home: Path) -> dict[str, object]:
    """Play it."""
    log = Log(home / "happened.log")
    victims = Victims(home)
    client = subprocess.Popen(
        [sys.executable, str(PIPELINE), NAME, str(size), str(log.path)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"VOLANT_HOME": str(home)},
    )
    try:
        until("a quarter was told", lambda: log.count("told") >= size // 4)
        died = time.time()
        kill(victims.engine())
        # What was under way goes on; the next ones wait for an engine.
        until("half was told", lambda: log.count("told") >= size // 2)
        alone = log.lines()
        kill([*victims.everything(), *victims.everything()])
    finally:
        client.kill()
        client.wait()
    kill(victims.everything())
    told_before = log.count("told")

    asked = time.time()
    run = volant.resume(NAME, wait=False)
    accepted = time.time() - asked
    run.wait()
    missing = size - len({line.number for line in log.lines() if line.word == "told"})
    if run.phase is not volant.ActionPhase.SUCCEEDED or missing:
        msg = f"the run ended as {run.phase.name}, and its parent was not told of {missing} actions"
        raise AssertionError(msg)
    after_engine = dispatched_after(died, alone)
    after_all = log.first_after(asked, "executed", "parent")
    leaf_after_all = log.first_after(asked, "executed")
    again, untold = executed_again(log.lines())
    lost = sum(times - 1 for times in Counter(line.number for line in alone if line.word == "executed").values())
    lost += sum(line.word == "parent" for line in alone) - 1
    if again or lost or after_engine is None or after_all is None:
        msg = f"{again} told actions were executed again, {lost} attempts were lost when the engine alone died"
        raise AssertionError(msg)
    note = (
        f"{size:,} actions: engine killed at {size // 4:,} told, {lost} attempts lost; all killed at {told_before:,} "
        f"told, accepted after {accepted:.2f} s, first leaf after {leaf_after_all or 0:.2f} s, {again} told actions "
        f"executed again, {untold} untold ones"
    )
    return {"engine": after_engine, "everything": after_all, "note": note}


def dispatched_after(died: float, lines: list[Line]) -> float | None:
    """Seconds until a leaf began that the next engine dispatched.

    A fork that the dead one asked for may begin a moment later: it is followed by a gap, longer than those between the
    others, in which nobody dispatches.
    """
    begun = [died, *(line.at for line in lines if line.word == "executed" and line.at > died)]
    if len(begun) < 3:
        return None
    _, resumed = max((after - before, after) for before, after in pairwise(begun))
    return resumed - died


def executed_again(lines: list[Line]) -> tuple[int, int]:
    """How many leaves were executed after their outcome was told, and how many were whose was not."""
    executed: set[int] = set()
    told: set[int] = set()
    again = untold = 0
    for line in lines:
        if line.word == "told":
            told.add(line.number)
        elif line.word == "executed":
            again += line.number in told
            untold += line.number in executed and line.number not in told
            executed.add(line.number)
    return again, untold


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]), program.settings().home)))
