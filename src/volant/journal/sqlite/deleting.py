"""Deleting a run in small transactions, so that nobody waits long for the writer.

The first one forgets the run: its name leads nowhere from then on, and its number is kept in `deleted_runs`. The
others sweep its rows away, a range of keys at a time; the last one takes the number off that list.
"""

import sqlite3

from volant.journal.planning import Heads, key
from volant.journal.sqlite.opening import STATEMENTS
from volant.model.ids import RunId

_AT_ONCE = 250
"""Keys that one transaction sweeps: a few milliseconds."""

_SWEEPS = (("first_change", "sweep_changes"), ("first_attempt", "sweep_attempts"), ("first_action", "sweep_actions"))


def forget(connection: sqlite3.Connection, heads: Heads, *, run: RunId) -> int | None:
    """Make a run unknown; its number, or None when there is no such run."""
    rows = connection.execute(STATEMENTS["run_number"], (run,)).fetchall()
    if not rows:
        return None
    ((number,),) = rows
    heads.pop(run, None)
    for statement in ("delete_labels", "delete_run", "mark_deleted"):
        connection.execute(STATEMENTS[statement], (number,))
    return int(number)


def sweep(connection: sqlite3.Connection, _heads: Heads, *, number: int) -> bool:
    """Remove some rows of a forgotten run; whether there may be more."""
    end = key(number + 1, 0)
    more = False
    for first, statement in _SWEEPS:
        ((lowest,),) = connection.execute(STATEMENTS[first], (key(number, 0), end)).fetchall()
        if lowest is not None:
            connection.execute(STATEMENTS[statement], (lowest, min(lowest + _AT_ONCE, end)))
            more = True
    if not more:
        connection.execute(STATEMENTS["unmark_deleted"], (number,))
    return more
