"""P6: one run holds many durable sleeps, which end one after the other.

Prints the 99th percentile of how late their ends were told, which is after their commits, in seconds, and the memory of
the engine while it held all of them, in MiB.
"""

import asyncio
import json
import math
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import datetime

import psutil

import volant
from volant.api.program import program
from volant.client.reporting import Reporter, Silent
from volant.journal.sqlite.journal import SqliteJournal
from volant.kit.homes import journal_path
from volant.model.ids import ActionId, RunId
from volant.model.records import Change, ChangeKind
from volant.model.specs import ActionKind
from volant.settings.tree import Mode
from volant.wiring.client import Reporters

FIRST = 0.5
"""Seconds that are left for each thousand sleeps to begin, before the first of them ends."""
SPREAD = 0.75
"""Seconds over which the ends of each thousand are spread."""

env = volant.TaskEnvironment(name="sleeps")


@env.task
async def main(count: int, first: float, spread: float) -> int:
    """All sleeps at once."""
    sleeps = (volant.durable.sleep.aio(first + spread * number / count) for number in range(count))
    await asyncio.gather(*sleeps)
    return count


class Watch(Silent):
    """Notes when the end of each action was heard of, which is after its commit, and what the engine held before."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.created = 0
        self.memory = 0
        self.ends: dict[ActionId, float] = {}

    def changed(self, changes: Sequence[Change]) -> None:
        now = time.time()
        for change in changes:
            if change.kind is ChangeKind.ACTION_CREATED:
                self.created += 1
            elif change.kind is ChangeKind.ACTION_ENDED and change.action is not None:
                self.ends[change.action] = now
        if self.created > self.count and not self.memory:
            self.memory = engine_memory()


class Watching(Reporters):
    """Shows every run to one watch."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self.watch = watch

    def __call__(self, mode: Mode) -> Reporter:
        return self.watch


def engine_memory() -> int:
    """Bytes."""
    status = subprocess.run(
        [sys.executable, "-m", "volant", "engine", "status", "-o", "json"], capture_output=True, check=True
    )
    return psutil.Process(json.loads(status.stdout)["pid"]).memory_info().rss


async def due_times(run: str) -> dict[ActionId, datetime]:
    """When each timer was to end, as the journal has it."""
    found: dict[ActionId, datetime] = {}
    journal = await SqliteJournal.open(journal_path(program.settings().home), read_only=True)
    try:
        after = 0
        while page := await journal.actions(RunId(run), after=after, limit=5000):
            for _, action in page:
                if action.kind is ActionKind.TIMER and action.due_at is not None:
                    found[action.action] = action.due_at
            after = page[-1][0]
    finally:
        await journal.close()
    return found


def percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[math.ceil(share * len(values)) - 1]


if __name__ == "__main__":
    count = int(sys.argv[1])
    watch = Watch(count)
    program.reporters = Watching(watch)
    run = volant.run(main, count=count, first=5 + FIRST * count / 1000, spread=SPREAD * count / 1000)
    due = asyncio.run(due_times(run.name))
    if len(due) != count or not due.keys() <= watch.ends.keys():
        raise AssertionError(f"wanted the ends of {count} timers, found {len(due.keys() & watch.ends.keys())}")
    late = [watch.ends[action] - at.timestamp() for action, at in due.items()]
    figures = {"late": percentile(late, 0.99), "memory": watch.memory / 2**20}
    print(json.dumps({"late p50": percentile(late, 0.5), **figures}))
