"""Questions to the journal, on connections of their own: no answer waits for a commit.

Lists are fetched in slices, so that no answer keeps the loop from its other work for long while its rows are decoded.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, assert_never

import psycopg

from volant.journal.filtering import AFTER_ALL, BEFORE_ALL, Age, Driver, driver, is_exact, matches, newest_first
from volant.journal.planning import LAST_POSITION, key, position
from volant.journal.postgres.connecting import Connections
from volant.journal.postgres.opening import STATEMENTS
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
from volant.model.errors import JournalError, RunNotFoundError
from volant.model.ids import ActionId, RunId, SpecDigest
from volant.model.phases import ActionPhase
from volant.model.records import ActionRecord, AttemptRecord, Change, RunRecord, SpecRecord
from volant.ports.journal import RunFilter

_SLICE = 500
"""Rows that are fetched at once."""
_FEW_NAMES = 1024
"""As many names are sorted in memory; of more, the newest are soon found by going through runs by age."""


class Reader:
    """Answers from the last commit."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def run(self, run: RunId) -> RunRecord | None:
        rows = await self._ask("run", {"run": run})
        return run_record(rows[0]) if rows else None

    async def runs(self, where: RunFilter) -> list[RunRecord]:
        age = AFTER_ALL if where.before is None else await self._age(where.before)
        since = BEFORE_ALL if where.since is None else microseconds(where.since)
        found: list[RunRecord] = []
        while len(found) < where.limit:
            limit = min(_SLICE, where.limit - len(found)) if is_exact(where) else _SLICE
            rows = await self._runs_slice(where, {"created_at": age[0], "run": age[1], "since": since, "limit": limit})
            records = [run_record(row) for row in rows]
            found += [record for record in records if matches(where, record)]
            if len(rows) < limit:
                break
            age = _age_of(rows[-1])
        return found[: max(where.limit, 0)]

    async def unfinished_runs(self) -> list[RunRecord]:
        rows = sorted(await self._ask("unfinished_runs", {}), key=_age_of)
        return [run_record(row) for row in rows]

    async def matching_runs(self, prefix: str, limit: int) -> list[RunId]:
        few = {"prefix": prefix, "limit": _FEW_NAMES + 1}
        ages = [Age(*row) for row in await self._ask("runs_by_prefix", few)]
        if len(ages) <= _FEW_NAMES:
            return [age.run for age in newest_first(ages)[: max(limit, 0)]]
        names: list[RunId] = []
        age = AFTER_ALL
        while len(names) < limit:
            rows = await self._ask("run_names_by_age", {"created_at": age[0], "run": age[1], "limit": _SLICE})
            names += [RunId(run) for _, run in rows if run.startswith(prefix)]
            if len(rows) < _SLICE:
                break
            age = Age(*rows[-1])
        return names[: max(limit, 0)]

    async def action(self, run: RunId, action: ActionId) -> ActionRecord | None:
        rows = await self._of_action("action", run, action)
        return action_record(run, rows[0]) if rows else None

    async def actions_named(self, run: RunId, actions: Sequence[ActionId]) -> list[ActionRecord]:
        number = await self._number(run)
        names = [name for name in map(_action_bytes, actions) if name is not None]
        if number is None or not names:
            return []
        rows = await self._ask("actions_named", {"run_number": number, "actions": names})
        return [action_record(run, row) for row in rows]

    async def matching_actions(self, run: RunId, prefix: str, limit: int) -> list[ActionId]:
        between = ids_between(prefix)
        number = await self._number(run)
        if number is None or between is None:
            return []
        wanted = {"run_number": number, **between, "limit": max(limit, 0)}
        return [ActionId(action.hex()) for (action,) in await self._ask("actions_by_prefix", wanted)]

    async def actions(
        self, run: RunId, parent: ActionId | None, phases: Sequence[ActionPhase], after: int, limit: int
    ) -> list[tuple[int, ActionRecord]]:
        number = await self._number(run)
        parent_bytes = None if parent is None else _action_bytes(parent)
        if number is None or (parent is not None and parent_bytes is None):
            return []
        wanted: dict[str, Any] = {"run_number": number, "end": key(number + 1, 0)}
        statement = "actions"
        codes = sorted({PHASE_CODES[phase] for phase in phases})
        if parent_bytes is not None:
            # The index is (run, parent, phase): without phases, all of them are merged.
            statement, wanted["parent"], wanted["phases"] = "actions_by_parent", parent_bytes, codes or sorted(PHASES)
        elif codes:
            statement, wanted["phases"] = "actions_by_phases", codes

        async def ask(after: int, limit: int) -> list[Row]:
            return await self._ask(statement, {**wanted, "after": after, "limit": limit})

        rows = await _in_slices(ask, number, after, limit)
        return [(position(row[0]), action_record(run, row[1:])) for row in rows]

    async def count_actions(self, run: RunId) -> dict[ActionPhase, int]:
        number = await self._number(run)
        if number is None:
            return {}
        return {PHASES[code]: count for code, count in await self._ask("count_actions", {"run_number": number})}

    async def attempts(self, run: RunId, action: ActionId) -> list[AttemptRecord]:
        return [attempt_record(run, action, row) for row in await self._of_action("attempts", run, action)]

    async def changes(self, run: RunId, after: int, limit: int) -> list[Change]:
        number = await self._number(run)
        if number is None:
            return []
        end = key(number + 1, 0)

        async def ask(after: int, limit: int) -> list[Row]:
            return await self._ask("changes", {"after": after, "end": end, "limit": limit})

        rows = await _in_slices(ask, number, after, limit)
        return [change_record(run, position(at), body) for at, body in rows]

    async def last_seq(self, run: RunId) -> int:
        number = await self._number(run)
        if number is None:
            return 0
        ((last,),) = await self._ask("last_change", {"first": key(number, 0), "end": key(number + 1, 0)})
        return 0 if last is None else position(last)

    async def spec(self, spec: SpecDigest) -> SpecRecord | None:
        rows = await self._ask("spec", {"spec": spec})
        return spec_record(rows[0]) if rows else None

    async def specs(self, limit: int) -> list[SpecRecord]:
        return [spec_record(row) for row in await self._ask("specs_by_use", {"limit": max(limit, 0)})]

    async def _of_action(self, statement: str, run: RunId, action: ActionId) -> list[Row]:
        number, name = await self._number(run), _action_bytes(action)
        if number is None or name is None:
            return []
        return await self._ask(statement, {"run_number": number, "action": name})

    async def _number(self, run: RunId) -> int | None:
        rows = await self._ask("run_number", {"run": run})
        return rows[0][0] if rows else None

    async def _age(self, run: RunId) -> Age:
        rows = await self._ask("run_age", {"run": run})
        if not rows:
            raise RunNotFoundError(f"run {run!r} is not in the journal, so what is older than it cannot be listed")
        return Age(rows[0][0], run)

    async def _runs_slice(self, where: RunFilter, cursor: dict[str, Any]) -> list[Row]:
        kind = driver(where)
        match kind:
            case Driver.LABEL:
                name, value = where.labels[0]
                return await self._ask("runs_by_label", {**cursor, "key": name, "value": value})
            case Driver.TASK:
                return await self._ask("runs_by_task", {**cursor, "task": where.task})
            case Driver.PHASE:
                codes = sorted({PHASE_CODES[phase] for phase in where.phases})
                return await self._ask("runs_by_phases", {**cursor, "phases": codes})
            case Driver.AGE:
                return await self._ask("runs_by_age", cursor)
            case _:
                assert_never(kind)

    async def _ask(self, statement: str, parameters: Mapping[str, Any]) -> list[Row]:
        try:
            return await self._connections.ask(STATEMENTS[statement], parameters)
        except (UnicodeEncodeError, JournalError) as error:
            if isinstance(error, UnicodeEncodeError) or isinstance(error.__cause__, psycopg.DataError):
                # A name that is not text, such as an undecodable argument of a command: no row has it.
                return []
            raise


async def _in_slices(ask: Callable[[int, int], Awaitable[list[Row]]], number: int, after: int, limit: int) -> list[Row]:
    """Rows whose first column is a key of run *number*, from the first position greater than *after*."""
    rows: list[Row] = []
    last = key(number, min(max(after, 0), LAST_POSITION))
    while len(rows) < limit:
        size = min(_SLICE, limit - len(rows))
        found = await ask(last, size)
        rows += found
        if len(found) < size:
            break
        last = found[-1][0]
    return rows


def _age_of(run_row: Row) -> Age:
    return Age(run_row[3], run_row[0])


def _action_bytes(action: ActionId) -> bytes | None:
    try:
        return action_bytes(action)
    except ValueError:
        return None
