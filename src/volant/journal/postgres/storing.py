"""A group of batches into rows: one transaction, two or three trips to the server however many rows there are.

The first trip begins the transaction, checks the fence and asks for what planning needs; the last one carries all rows,
each table's as arrays, and the COMMIT. Runs that this writer has not met yet cost a trip of their own: they are found
under the lock of their lease, so that what is read of them is final.
"""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from volant.journal.holdings import Holdings
from volant.journal.planning import Head, Heads, Plan, position
from volant.journal.postgres.connecting import Connection
from volant.journal.postgres.failing import UNSTORABLE
from volant.journal.postgres.opening import STATEMENTS
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
from volant.model.errors import BatchRefusedError, JournalError
from volant.model.ids import ActionId, RunId
from volant.model.records import Batch

_SQL = {name: text.encode() for name, text in STATEMENTS.items()}
_SPARE_NUMBERS = 8


class StoredHeads(Heads):
    """Heads whose numbers come from the database's sequence, some ahead."""

    def __init__(self) -> None:
        super().__init__(last_number=0)
        self.numbers: list[int] = []
        self.opened: dict[RunId, int] = {}
        """Numbers of the runs that the current group opens."""

    def open(self, run: RunId) -> Head:
        number = self.opened[run] = self.numbers.pop(0)
        head = self[run] = Head(number=number)
        return head


class Found:
    """The `Lookup` of planning: what was asked for beforehand."""

    def __init__(self) -> None:
        self.places: dict[tuple[int, bytes], int] = {}

    def head(self, run: RunId) -> Head | None:
        """Stored runs are among the heads already."""
        return None

    def place(self, number: int, action: ActionId) -> int | None:
        return self.places.get((number, action_bytes(action)))


class Storing:
    """Writes groups, and remembers between them what it knows of the runs that are being written."""

    def __init__(self, holdings: Holdings, *, writer: str, duration: timedelta) -> None:
        self.refused: dict[int, JournalError] = {}
        """Which batches of the last group, by index, were refused and why. Complete before COMMIT is sent."""
        self._holdings = holdings
        self._writer = writer
        self._duration = duration
        self._heads = StoredHeads()
        self._met: dict[RunId, int] = {}
        """Tokens of the runs that the group meets for the first time."""
        self._tokens: dict[RunId, int] = {}
        """Of all stored runs that the group may write."""
        self._owners: dict[RunId, str] = {}
        """Of the runs that the group must not write."""
        self._plan = Plan(self._heads, Found())
        self._is_current = True

    async def begin(self, connection: Connection, group: int) -> None:
        """Begin the transaction of a group, in whose number its outcome can be found again."""
        await connection.execute("BEGIN")
        await connection.execute(_SQL["mark_group"], {"writer": self._writer, "group": group})

    async def store(self, connection: Connection, group: int, batches: Sequence[Batch]) -> None:
        """Store all batches that are not `refused`. Then call `committed`, or `failed`.

        Raises:
            psycopg.Error, ValueError, TypeError, OverflowError: nothing is stored, unless the connection was lost.
        """
        self._start()
        runs = {run: None for batch in batches for run in _runs_of(batch)}
        unknown = [run for run in runs if run not in self._heads]
        has_begun = bool(unknown)
        if unknown:
            await self._meet(connection, group, unknown)
        async with connection.pipeline():
            if not has_begun:
                await self.begin(connection, group)
            fence = await self._fence(connection, [run for run in runs if run in self._heads])
            places = await self._ask_for_places(connection, batches)
        self._heed(fence and {number for (number,) in await fence.fetchall()}, runs)
        found = Found()
        for number, action, key in await places.fetchall() if places is not None else ():
            found.places[number, action] = position(key)
        self._plan = Plan(self._heads, found)
        self._add(batches)
        rows = list(self._rows())
        async with connection.pipeline():
            for statement, parameters in rows:
                await connection.execute(_SQL[statement], parameters)
            await connection.execute("COMMIT")

    async def take(self, connection: Connection, run: RunId) -> int | None:
        """In a transaction: the number of a run that this owner may write from here on; None when it is not there.

        Raises:
            JournalError: another owner has it.
        """
        self._start()
        self._heads.pop(run, None)
        await self._find(connection, [run])
        fence = await self._fence(connection, [run] if run in self._heads else [])
        self._heed(fence and {number for (number,) in await fence.fetchall()}, {run: None})
        if run in self._owners:
            raise self._holdings.refusal(run, self._owners[run])
        head = self._heads.pop(run, None)
        return None if head is None else head.number

    def committed(self) -> None:
        """The group is durable."""
        for run, token in self._met.items():
            self._holdings.met(run, token)
        for run in self._heads.opened:
            self._holdings.met(run, 1)
        for record in self._plan.runs.values():
            if record.phase.is_final:
                self._holdings.ended(record.run)
        if self._is_current:
            self._plan.settle()

    def failed(self) -> None:
        """Nothing of the group is stored, as far as is known. What is known of runs is read again, even if it turns out
        that it is stored and `committed` is called all the same."""
        self._is_current = False
        self._heads.clear()

    def _start(self) -> None:
        self.refused, self._met, self._tokens, self._owners = {}, {}, {}, {}
        self._heads.opened = {}
        self._is_current = True
        # Between groups only: what a group has looked up must stay until it is stored.
        for run in self._holdings.stale():
            self._heads.pop(run, None)

    async def _meet(self, connection: Connection, group: int, unknown: Sequence[RunId]) -> None:
        async with connection.pipeline():
            await self.begin(connection, group)
            wanted = len(unknown) + _SPARE_NUMBERS - len(self._heads.numbers)
            numbers = None
            if wanted > _SPARE_NUMBERS // 2:
                numbers = await connection.execute(_SQL["next_numbers"], {"count": wanted})
            await self._find(connection, unknown)
            if numbers is not None:
                self._heads.numbers += [number for (number,) in await numbers.fetchall()]

    async def _find(self, connection: Connection, runs: Sequence[RunId]) -> None:
        """What is stored of runs, and whose they are. Those that nobody has become this owner's."""
        free = [run for run in runs if self._holdings.may_take(run)]
        owner = self._holdings.owner
        if free:
            parameters = {"runs": free, "owner": owner, "duration": self._duration}
            await connection.execute(_SQL["take_unowned"], parameters)
        cursor = await connection.execute(_SQL["find_heads"], {"runs": list(runs)})
        for run, number, change, action, holder, token in await cursor.fetchall():
            held = self._holdings.held.get(run)
            if holder != owner or not self._holdings.may_take(run) or held not in (None, token):
                self._owners[run] = holder
                self._holdings.seen_with_another(run)
                continue
            self._met[run] = token
            self._heads[run] = Head(
                number=number,
                seq=0 if change is None else position(change),
                position=0 if action is None else position(action),
            )

    async def _fence(self, connection: Connection, runs: Sequence[RunId]) -> "Any | None":
        if not runs:
            return None
        # A run that was lost since it was met has no token.
        self._tokens = {run: self._met.get(run) or self._holdings.held.get(run, 0) for run in runs}
        numbers = [self._heads[run].number for run in runs]
        parameters = {"numbers": numbers, "tokens": list(self._tokens.values()), "owner": self._holdings.owner}
        return await connection.execute(_SQL["fence"], parameters)

    def _heed(self, fenced: set[int] | None, runs: Iterable[RunId]) -> None:
        """Let go of runs that the fence does not know as this owner's."""
        for run in runs:
            head = self._heads.get(run)
            if head is not None and (fenced is None or head.number not in fenced):
                del self._heads[run]
                self._holdings.parted(run)
                self._met.pop(run, None)
                self._owners[run] = ""

    async def _ask_for_places(self, connection: Connection, batches: Sequence[Batch]) -> "Any | None":
        numbers: list[int] = []
        actions: list[bytes] = []
        for batch in batches:
            named = [(action.run, action.action) for action in batch.actions]
            named += [(attempt.run, attempt.action) for attempt in batch.attempts]
            for run, action in named:
                head = self._heads.get(run)
                if head is not None and head.position and action not in head.places:
                    try:
                        actions.append(action_bytes(action))
                    except ValueError:
                        # Planning will refuse it.
                        continue
                    numbers.append(head.number)
        if not numbers:
            return None
        return await connection.execute(_SQL["find_places"], {"numbers": numbers, "actions": actions}, binary=True)

    def _add(self, batches: Sequence[Batch]) -> None:
        for index, batch in enumerate(batches):
            foreign = next((run for run in _runs_of(batch) if run in self._owners), None)
            try:
                if foreign is not None:
                    raise self._holdings.refusal(foreign, self._owners[foreign])
                self._plan.add(batch)
            except JournalError as error:
                self.refused[index] = error
            except UNSTORABLE as error:
                self.refused[index] = unstorable(error)

    def _rows(self) -> Iterable[tuple[str, Any]]:
        plan, ids = self._plan, ActionBytes()
        if plan.specs:
            # In one order for all engines, so that they do not wait for one another in a circle.
            specs = sorted(spec_row(spec) for spec in plan.specs.values())
            yield "upsert_specs", _columns(specs)
        if plan.runs:
            yield "upsert_runs", _columns([(number, *run_row(run)) for number, run in plan.runs.items()])
            yield "delete_labels", {"numbers": list(plan.runs)}
            labels: list[Row] = [
                (number, name, value, microseconds(run.created_at), run.run)
                for number, run in plan.runs.items()
                for name, value in run.labels.items()
            ]
            if labels:
                yield "insert_labels", _columns(labels)
        for statement, actions in (("insert_actions", plan.new_actions), ("update_actions", plan.changed_actions)):
            if actions:
                yield statement, _columns([(at, *action_row(action, ids)) for at, action in actions.items()])
        if plan.attempts:
            yield (
                "upsert_attempts",
                _columns([(at, *attempt_row(attempt)) for (at, _), attempt in plan.attempts.items()]),
            )
        if plan.changes:
            yield "insert_changes", _columns([(at, change_body(change, ids)) for at, change in plan.changes])
        yield from self._lease_rows()

    def _lease_rows(self) -> Iterable[tuple[str, Any]]:
        owner, opened = self._holdings.owner, self._heads.opened
        if opened:
            yield "insert_leases", {"numbers": list(opened.values()), "owner": owner, "duration": self._duration}
        ended = [record.run for record in self._plan.runs.values() if record.phase.is_final]
        if ended:
            tokens = [1 if run in opened else self._tokens[run] for run in ended]
            yield "give_back", {"runs": ended, "tokens": tokens, "owner": owner}


def unstorable(error: Exception) -> BatchRefusedError:
    """The refusal of a batch that raised one of `UNSTORABLE`."""
    refusal = BatchRefusedError(f"a batch holds a value that cannot be stored: {' '.join(str(error).split())}")
    refusal.__cause__ = error
    return refusal


def _runs_of(batch: Batch) -> list[RunId]:
    runs = [run.run for run in batch.runs]
    for records in (batch.actions, batch.attempts, batch.changes):
        runs += [record.run for record in records]
    return list(dict.fromkeys(runs))


def _columns(rows: Sequence[Row]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]
