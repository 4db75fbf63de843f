"""Deleting a run: its writer forgets it in one transaction, its rows are swept away in others, beside it."""

from volant.journal.planning import key
from volant.journal.postgres.connecting import Connection
from volant.journal.postgres.opening import STATEMENTS
from volant.journal.postgres.storing import Storing
from volant.model.ids import RunId

_AT_ONCE = 2000
"""Keys that one transaction sweeps: some ten milliseconds."""


async def forget(connection: Connection, storing: Storing, *, run: RunId) -> int | None:
    """In a transaction: make a run unknown; its number, or None when there is no such run.

    Raises:
        JournalError: another owner has it.
    """
    number = await storing.take(connection, run)
    if number is None:
        return None
    await connection.execute(STATEMENTS["delete_labels"].encode(), {"numbers": [number]})
    for statement in ("delete_run", "delete_lease", "mark_deleted"):
        await connection.execute(STATEMENTS[statement].encode(), {"number": number})
    return number


async def sweep(connection: Connection, number: int) -> bool:
    """Remove some rows of a forgotten run; whether there may be more."""
    swept = {"first": key(number, 0), "end": key(number + 1, 0), "limit": _AT_ONCE}
    more = False
    async with connection.transaction():
        for statement in ("sweep_changes", "sweep_attempts", "sweep_actions"):
            cursor = await connection.execute(STATEMENTS[statement].encode(), swept)
            more = more or cursor.rowcount > 0
        if not more:
            await connection.execute(STATEMENTS["unmark_deleted"].encode(), {"number": number})
    return more
