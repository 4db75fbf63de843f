"""A client outside: notes what it is told, and starts nothing. `python -m tests.crash.storm.watching RUN LOG`."""

import asyncio
import os
import sys
from pathlib import Path

from volant.client.reporting import Silent
from volant.model.errors import VolantError
from volant.model.ids import RunId
from volant.model.phases import ActionPhase
from volant.model.records import Change, ChangeKind
from volant.settings.loading import load_settings
from volant.wiring.client import make_client

_PAUSE = 0.05
_OUTCOMES = (ActionPhase.SUCCEEDED, ActionPhase.FAILED, ActionPhase.TIMED_OUT)
"""Not what was aborted: a race that is run again cancels its loser again."""


async def watch(run: RunId, log: str) -> None:
    """Note every outcome of *run* as it is told, until it has ended."""
    client = make_client(load_settings(environ=os.environ, use_project=False), reporters=lambda _mode: Silent())
    seen = 0
    noted = {line.split()[1] for line in Path(log).read_text().splitlines() if line.startswith("told ")}
    while True:
        try:
            async with client.running_connection() as talk:
                if talk is not None:
                    async for events in talk.watch(run, after=seen):
                        note(log, events.changes, noted)
                        if events.changes:
                            seen = events.changes[-1].seq
                        if events.ended is not None:
                            return
        except (VolantError, OSError):
            # The engine is gone, or nobody executes the run now.
            pass
        await asyncio.sleep(_PAUSE)


def note(log: str, changes: tuple[Change, ...], noted: set[str]) -> None:
    """One line for each outcome that is not *noted*, on the disk before anything else happens here."""
    ended = [
        each.action
        for each in changes
        if each.kind is ChangeKind.ACTION_ENDED and each.phase in _OUTCOMES and each.action not in noted
    ]
    noted.update(str(action) for action in ended)
    if ended:
        with open(log, "ab", buffering=0) as file:
            file.write("".join(f"told {action}\n" for action in ended).encode())
            os.fsync(file.fileno())


if __name__ == "__main__":
    asyncio.run(watch(RunId(sys.argv[1]), sys.argv[2]))
