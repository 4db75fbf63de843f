"""Questions to the journal, on connections of their own: no answer waits for a commit.

Rows are fetched on the loop's thread, in slices with a turn of the loop between them: a thread would wait for the
interpreter at every row. Where SQLite itself works long for few rows, as when it counts, a thread asks.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from heapq import merge
from itertools import islice
from pathlib import Path
from typing import Any, assert_never

from volant.journal.filtering import AFTER_ALL, BEFORE_ALL, Age, Driver, driver, is_exact, matches, newest_first
from volant.journal.planning import LAST_POSITION, key, position
from volant.journal.rows import (
    PHASE_CODES,
    PHASES,
    Row,
    action_bytes,
    action_record,
    attempt_record,
    change_record,
    ids_between,
    microseconds,
    run_record,
    spec_record,
)
from volant.journal.sqlite.failing import journal_error
from volant.journal.sqlite.opening import STATEMENTS, connect
from volant.journal.sqlite.thread import LoopThread
from volant.model.errors import JournalError, RunNotFoundError
from volant.model.ids import ActionId, RunId, SpecDigest
from volant.model.phases import ActionPhase
from volant.model.records import ActionRecord, AttemptRecord, Change, RunRecord, SpecRecord
from volant.ports.journal import RunFilter

_SLICE = 256
"""Rows that are fetched in one turn of the loop."""
_FEW_NAMES = 1024
"""As many names are sorted in memory; of more, the newest are soon found by going through runs by age."""


class Reader:
    """Answers from the last commit."""

    def __init__(self, path: Path, *, busy_timeout_ms: int) -> None:
        self._path = path
        self._busy_timeout_ms = busy_timeout_ms
        self._connection = self._connect()
        self._counting: sqlite3.Connection | None = None
        self._counter: LoopThread | None = None
        self._closed = False

    def run(self, run: RunId) -> RunRecord | None:
        rows = self._ask("run", (run,))
        return run_record(rows[0]) if rows else None

    async def runs(self, where: RunFilter) -> list[RunRecord]:
        age = AFTER_ALL if where.before is None else self._age(where.before)
        since = BEFORE_ALL if where.since is None else microseconds(where.since)
        found: list[RunRecord] = []
        while len(found) < where.limit:
            limit = min(_SLICE, where.limit - len(found)) if is_exact(where) else _SLICE
            rows = self._runs_slice(where, {"created_at": age[0], "run": age[1], "since": since, "limit": limit})
            records = [run_record(row) for row in rows]
            found += [record for record in records if matches(where, record)]
            if len(rows) < limit:
                break
            age = _age_of(rows[-1])
            await asyncio.sleep(0)
        return found[: max(where.limit, 0)]

    def unfinished_runs(self) -> list[RunRecord]:
        rows = sorted(self._ask("unfinished_runs", ()), key=_age_of)
        return [run_record(row) for row in rows]

    async def matching_runs(self, prefix: str, limit: int) -> list[RunId]:
        ages = [Age(*row) for row in self._ask("runs_by_prefix", {"prefix": prefix, "limit": _FEW_NAMES + 1})]
        if len(ages) <= _FEW_NAMES:
            return [age.run for age in newest_first(ages)[: max(limit, 0)]]
        names: list[RunId] = []
        age = AFTER_ALL
        while len(names) < limit:
            rows = self._ask("run_names_by_age", {"created_at": age[0], "run": age[1], "limit": _SLICE})
            names += [RunId(run) for _, run in rows if run.startswith(prefix)]
            if len(rows) < _SLICE:
                break
            age = Age(*rows[-1])
            await asyncio.sleep(0)
        return names[: max(limit, 0)]

    def action(self, run: RunId, action: ActionId) -> ActionRecord | None:
        number, name = self._number(run), _action_bytes(action)
        if number is None or name is None:
            return None
        rows = self._ask("action", (number, name))
        return action_record(run, rows[0]) if rows else None

    def actions_named(self, run: RunId, actions: Sequence[ActionId]) -> list[ActionRecord]:
        number = self._number(run)
        names = [name for name in map(_action_bytes, dict.fromkeys(actions)) if name is not None]
        if number is None:
            return []
        return [action_record(run, row) for name in names for row in self._ask("action", (number, name))]

    def matching_actions(self, run: RunId, prefix: str, limit: int) -> list[ActionId]:
        number = self._number(run)
        between = ids_between(prefix)
        if number is None or between is None:
            return []
        rows = self._ask("actions_by_prefix", {"run_number": number, **between, "limit": max(limit, 0)})
        return [ActionId(action.hex()) for action, _, _ in rows]

    async def actions(
        self, run: RunId, parent: ActionId | None, phases: Sequence[ActionPhase], after: int, limit: int
    ) -> list[tuple[int, ActionRecord]]:
        number = self._number(run)
        parent_bytes = None if parent is None else _action_bytes(parent)
        if number is None or (parent is not None and parent_bytes is None):
            return []
        wanted: dict[str, Any] = {"run_number": number, "end": key(number + 1, 0)}
        statement = "actions"
        codes = sorted({PHASE_CODES[phase] for phase in phases})
        if parent_bytes is not None:
            statement, wanted["parent"] = "actions_by_parent", parent_bytes
            # The index is (run, parent, phase): without phases, all of them are merged.
            codes = codes or sorted(PHASES)
        elif codes:
            statement = "actions_by_phase"

        def ask(after: int, limit: int) -> list[Row]:
            cursor = {**wanted, "after": after, "limit": limit}
            if not codes:
                return self._ask(statement, cursor)
            streams = [self._ask(statement, {**cursor, "phase": code}) for code in codes]
            return list(islice(merge(*streams, key=_key_of), limit))

        rows = await _in_slices(ask, number, after, limit)
        return [(position(row[0]), action_record(run, row[1:])) for row in rows]

    async def count_actions(self, run: RunId) -> dict[ActionPhase, int]:
        number = self._number(run)
        if number is None:
            return {}
        return {PHASES[code]: count for code, count in await self._ask_in_thread("count_actions", (number,))}

    def attempts(self, run: RunId, action: ActionId) -> list[AttemptRecord]:
        number, name = self._number(run), _action_bytes(action)
        if number is None or name is None:
            return []
        places = self._ask("find_place", (number, name))
        rows = self._ask("attempts", places[0]) if places else []
        return [attempt_record(run, action, row) for row in rows]

    async def changes(self, run: RunId, after: int, limit: int) -> list[Change]:
        number = self._number(run)
        if number is None:
            return []
        end = key(number + 1, 0)

        def ask(after: int, limit: int) -> list[Row]:
            return self._ask("changes", {"after": after, "end": end, "limit": limit})

        rows = await _in_slices(ask, number, after, limit)
        return [change_record(run, position(at), body) for at, body in rows]

    def last_seq(self, run: RunId) -> int:
        number = self._number(run)
        if number is None:
            return 0
        ((last,),) = self._ask("last_change", {"first": key(number, 0), "end": key(number + 1, 0)})
        return 0 if last is None else position(last)

    def spec(self, spec: SpecDigest) -> SpecRecord | None:
        rows = self._ask("spec", (spec,))
        return spec_record(rows[0]) if rows else None

    def specs(self, limit: int) -> list[SpecRecord]:
        return [spec_record(row) for row in self._ask("specs_by_use", (AFTER_ALL.created_at, max(limit, 0)))]

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._connection.close()
        if self._counter is not None and self._counting is not None:
            self._counting.interrupt()
            gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._counter.run(self._counting.close, lambda _, __: gone.set_result(None))
            self._counter.stop()
            await asyncio.shield(gone)

    def _connect(self) -> sqlite3.Connection:
        connection = connect(self._path, busy_timeout_ms=self._busy_timeout_ms)
        connection.execute("PRAGMA query_only = ON")
        return connection

    def _ask(self, statement: str, parameters: Sequence[Any] | dict[str, Any]) -> list[Row]:
        # All rows at once: an unfinished SELECT would keep later ones on its old state.
        if self._closed:
            raise self._closed_error()
        return self._checked(lambda: self._connection.execute(STATEMENTS[statement], parameters).fetchall())

    async def _ask_in_thread(self, statement: str, parameters: Sequence[Any]) -> list[Row]:
        if self._closed:
            raise self._closed_error()
        if self._counting is None or self._counter is None:
            self._counting = self._connect()
            self._counter = LoopThread("volant-journal-count")
        counting = self._counting
        answer: asyncio.Future[list[Row]] = asyncio.get_running_loop().create_future()

        def tell(rows: list[Row] | None, error: Exception | None) -> None:
            if answer.done():
                return
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(rows or [])

        self._counter.run(
            lambda: self._checked(lambda: counting.execute(STATEMENTS[statement], parameters).fetchall()), tell
        )
        return await answer

    def _checked(self, ask: Callable[[], list[Row]]) -> list[Row]:
        try:
            return ask()
        except UnicodeEncodeError:
            # A name that is not text, such as an undecodable argument of a command: no row has it.
            return []
        except sqlite3.Error as error:
            raise journal_error(error, self._path, "reading") from error

    def _closed_error(self) -> JournalError:
        return JournalError(f"journal {self._path}: it was closed, nothing can be read from it")

    def _number(self, run: RunId) -> int | None:
        rows = self._ask("run_number", (run,))
        return rows[0][0] if rows else None

    def _age(self, run: RunId) -> Age:
        rows = self._ask("run_age", (run,))
        if not rows:
            raise RunNotFoundError(f"run {run!r} is not in the journal, so what is older than it cannot be listed")
        return Age(rows[0][0], run)

    def _runs_slice(self, where: RunFilter, cursor: dict[str, Any]) -> list[Row]:
        kind = driver(where)
        match kind:
            case Driver.LABEL:
                name, value = where.labels[0]
                return self._ask("runs_by_label", {**cursor, "key": name, "value": value})
            case Driver.TASK:
                return self._ask("runs_by_task", {**cursor, "task": where.task})
            case Driver.PHASE:
                codes = {PHASE_CODES[phase] for phase in where.phases}
                streams = [self._ask("runs_by_phase", {**cursor, "phase": code}) for code in sorted(codes)]
                return list(islice(merge(*streams, key=_age_of, reverse=True), cursor["limit"]))
            case Driver.AGE:
                return self._ask("runs_by_age", cursor)
            case _:
                assert_never(kind)


async def _in_slices(ask: Callable[[int, int], list[Row]], number: int, after: int, limit: int) -> list[Row]:
    """Rows whose first column is a key of run *number*, from the first position greater than *after*."""
    rows: list[Row] = []
    last = key(number, min(max(after, 0), LAST_POSITION))
    while len(rows) < limit:
        size = min(_SLICE, limit - len(rows))
        found = ask(last, size)
        rows += found
        if len(found) < size:
            break
        last = found[-1][0]
        await asyncio.sleep(0)
    return rows


def _age_of(run_row: Row) -> Age:
    return Age(run_row[3], run_row[0])


def _key_of(row: Row) -> int:
    return int(row[0])


def _action_bytes(action: ActionId) -> bytes | None:
    try:
        return action_bytes(action)
    except ValueError:
        return None
