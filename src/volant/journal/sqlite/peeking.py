"""A glance into a file: a question that takes too long is given up."""

import contextlib
import sqlite3
import time
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

from volant.journal.rows import PHASES, ids_between
from volant.journal.sqlite.opening import STATEMENTS
from volant.ports.peeking import Glimpse

_STEPS = 1000
"""Of SQLite's machine between two looks at the clock: some microseconds."""
_LAST = 2**62


class SqlitePeek:
    """`Peek` into one file; made by `peek`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def runs(self, prefix: str, *, limit: int) -> list[Glimpse]:
        if prefix:
            rows = self._ask("peek_runs_by_prefix", {"prefix": prefix, "limit": limit})
        else:
            rows = self._ask("peek_runs_by_age", {"created_at": _LAST, "run": "", "limit": limit})
        return [Glimpse(run, task, PHASES[phase].value) for run, task, phase in rows]

    def root_tasks(self, *, limit: int) -> list[str]:
        found: list[str] = []
        while len(found) < limit:
            rows = self._ask("peek_next_task", {"after": found[-1] if found else ""})
            if not rows:
                break
            found.append(rows[0][0])
        return found

    def actions(self, run: str, prefix: str, *, limit: int) -> list[Glimpse]:
        runs = [glimpse.name for glimpse in self.runs(run, limit=2)]
        name = run if run in runs else runs[0] if len(runs) == 1 else None
        if name is None:
            return []
        ((number,),) = self._ask("run_number", (name,))
        if prefix:
            between = ids_between(prefix)
            if between is None:
                return []
            rows = self._ask("actions_by_prefix", {"run_number": number, **between, "limit": limit})
        else:
            rows = self._ask("peek_actions", {"after": number << 32, "end": (number + 1) << 32, "limit": limit})
        return [Glimpse(action.hex(), task, PHASES[phase].value) for action, task, phase in rows]

    def _ask(self, statement: str, values: Mapping[str, Any] | tuple[Any, ...]) -> list[Any]:
        return self._connection.execute(STATEMENTS[statement], values).fetchall()


@contextlib.contextmanager
def peek(path: Path, *, seconds: float) -> Generator[SqlitePeek | None]:
    """A glance into the journal at *path* that ends after so many *seconds*; None when there is no file.

    Raises:
        sqlite3.Error: it cannot be read, or the time is over.
    """
    if not path.is_file():
        yield None
        return
    deadline = time.monotonic() + seconds
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=seconds, isolation_level=None)
    with contextlib.closing(connection):
        connection.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS)
        yield SqlitePeek(connection)
