"""A group of batches into rows, inside an open transaction."""

import sqlite3
from collections.abc import Sequence

from volant.journal.planning import Head, Heads, Plan, position
from volant.journal.rows import (
    ActionBytes,
    Row,
    action_bytes,
    action_row,
    attempt_row,
    change_body,
    microseconds,
    run_row,
    spec_row,
)
from volant.journal.sqlite.opening import STATEMENTS
from volant.model.errors import BatchRefusedError, JournalError
from volant.model.ids import ActionId, RunId
from volant.model.records import Batch, RunRecord

UNSTORABLE = (ValueError, TypeError, OverflowError, KeyError)
"""What encoding or binding raises for a value that no row can hold."""

_FIND_HEAD = STATEMENTS["find_head"]
_FIND_PLACE = STATEMENTS["find_place"]
_UPSERT_SPEC = STATEMENTS["upsert_spec"]
_UPSERT_RUN = STATEMENTS["upsert_run"]
_DELETE_LABELS = STATEMENTS["delete_labels"]
_INSERT_LABEL = STATEMENTS["insert_label"]
_INSERT_ACTION = STATEMENTS["insert_action"]
_UPDATE_ACTION = STATEMENTS["update_action"]
_UPSERT_ATTEMPT = STATEMENTS["upsert_attempt"]
_INSERT_CHANGE = STATEMENTS["insert_change"]


class StoredHeads:
    """The `Lookup` of planning, on the writing connection: it sees what its transaction has written."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def last_number(self) -> int:
        """The greatest number that a run has."""
        ((number,),) = self._connection.execute(STATEMENTS["last_number"]).fetchall()
        return number or 0

    def head(self, run: RunId) -> Head | None:
        rows = self._connection.execute(_FIND_HEAD, (run,)).fetchall()
        if not rows:
            return None
        ((number, change, action),) = rows
        return Head(
            number=number,
            seq=0 if change is None else position(change),
            position=0 if action is None else position(action),
        )

    def place(self, number: int, action: ActionId) -> int | None:
        rows = self._connection.execute(_FIND_PLACE, (number, action_bytes(action))).fetchall()
        return position(rows[0][0]) if rows else None


def store(
    connection: sqlite3.Connection, heads: Heads, lookup: StoredHeads, batches: Sequence[Batch]
) -> dict[int, JournalError]:
    """Write a group; which of its batches, by index, were refused and why. Nothing of those is written."""
    plan = Plan(heads, lookup)
    refused: dict[int, JournalError] = {}
    for index, batch in enumerate(batches):
        try:
            plan.add(batch)
        except JournalError as error:
            refused[index] = error
        except UNSTORABLE as error:
            refused[index] = unstorable(error)
    try:
        _write(connection, plan)
    except UNSTORABLE:
        # Which batch it came from, coalescing has hidden: take them one by one.
        connection.execute("ROLLBACK")
        connection.execute(STATEMENTS["begin"])
        return _store_singly(connection, heads, lookup, batches)
    plan.settle()
    return refused


def unstorable(error: Exception) -> BatchRefusedError:
    """The refusal of a batch that raised one of `UNSTORABLE`."""
    refusal = BatchRefusedError(f"a batch holds a value that cannot be stored: {error}")
    refusal.__cause__ = error
    return refusal


def _store_singly(
    connection: sqlite3.Connection, heads: Heads, lookup: StoredHeads, batches: Sequence[Batch]
) -> dict[int, JournalError]:
    refused: dict[int, JournalError] = {}
    heads.clear()
    for index, batch in enumerate(batches):
        connection.execute("SAVEPOINT batch")
        plan = Plan(heads, lookup)
        try:
            plan.add(batch)
            _write(connection, plan)
        except (JournalError, *UNSTORABLE) as error:
            refused[index] = error if isinstance(error, JournalError) else unstorable(error)
            connection.execute("ROLLBACK TO batch")
            heads.clear()
        else:
            plan.settle()
        connection.execute("RELEASE batch")
    return refused


def _write(connection: sqlite3.Connection, plan: Plan) -> None:
    # Encode everything first: most values that cannot be stored are found before the first statement.
    ids = ActionBytes()
    runs = [(number, *run_row(run)) for number, run in plan.runs.items()]
    new_actions = [(at, at >> 32, *action_row(action, ids)) for at, action in plan.new_actions.items()]
    changed_actions = [(*action_row(action, ids)[1:], at) for at, action in plan.changed_actions.items()]
    attempts = [(at, *attempt_row(attempt)) for (at, _), attempt in plan.attempts.items()]
    changes = [(at, change_body(change, ids)) for at, change in plan.changes]
    if plan.specs:
        connection.executemany(_UPSERT_SPEC, [spec_row(spec) for spec in plan.specs.values()])
    if runs:
        connection.executemany(_UPSERT_RUN, runs)
        _write_labels(connection, plan.runs)
    if new_actions:
        connection.executemany(_INSERT_ACTION, new_actions)
    if changed_actions:
        connection.executemany(_UPDATE_ACTION, changed_actions)
    if attempts:
        connection.executemany(_UPSERT_ATTEMPT, attempts)
    if changes:
        connection.executemany(_INSERT_CHANGE, changes)


def _write_labels(connection: sqlite3.Connection, runs: dict[int, RunRecord]) -> None:
    connection.executemany(_DELETE_LABELS, [(number,) for number in runs])
    labels: list[Row] = [
        (number, name, value, microseconds(run.created_at), run.run)
        for number, run in runs.items()
        for name, value in run.labels.items()
    ]
    if labels:
        connection.executemany(_INSERT_LABEL, labels)
