"""The journal on Postgres: one database, an engine's one writer, readers that never wait."""

import asyncio
import logging
import secrets
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Self

from volant.journal.holdings import Holdings
from volant.journal.postgres.connecting import Connection, Connections, Server
from volant.journal.postgres.deleting import forget, sweep
from volant.journal.postgres.leasing import PostgresLeases
from volant.journal.postgres.opening import STATEMENTS, prepare
from volant.journal.postgres.reader import Reader
from volant.journal.postgres.storing import Storing
from volant.journal.postgres.writer import Writer
from volant.journal.receipts import Receipt
from volant.model.errors import JournalError
from volant.model.ids import ActionId, RunId, SpecDigest
from volant.model.phases import ActionPhase
from volant.model.records import ActionRecord, AttemptRecord, Batch, Change, RunRecord, SpecRecord
from volant.ports.journal import RunFilter

_log = logging.getLogger(__name__)

LEASE = timedelta(seconds=30)
PATIENCE = timedelta(seconds=30)


class PostgresJournal:
    """A `Journal` in a Postgres database. It belongs to the loop it was opened on; call it from there only.

    Several may write to one database, each to the runs that its owner has: see `leases`. A run that nobody owns becomes
    the property of whoever writes to it first. A connection that breaks is replaced, and what was under way on it is
    looked up before it is told or done again; a server that stays away longer than *patience* ends it.
    """

    def __init__(
        self, server: Server, *, owner: str, dead: Sequence[str], lease: timedelta, group_rows: int, read_only: bool
    ) -> None:
        self._where = server.where
        self._connections = Connections(server)
        self._reader = Reader(self._connections)
        holdings = Holdings(owner)
        name = f"{owner}-{secrets.token_hex(8)}"
        storing = Storing(holdings, writer=name, duration=lease)
        self._holdings = holdings
        self._name = name
        self._writer = None if read_only else Writer(server, storing, name=name, group_rows=group_rows)
        self._sweeping: set[asyncio.Task[None]] = set()
        self.leases = PostgresLeases(self._connections, holdings, dead=dead, duration=lease)
        """Which runs this journal may write."""

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        owner: str | None = None,
        dead: Sequence[str] = (),
        lease: timedelta = LEASE,
        patience: timedelta = PATIENCE,
        group_rows: int = 2000,
        read_only: bool = False,
    ) -> Self:
        """Open the journal of a database; in an empty one its tables are made.

        *owner* is a name that nobody had before; without one it is random. *dead* are owners that are known to be gone
        for good: their runs can be acquired before their leases have run out. *group_rows* is how many rows go into one
        transaction at most. *read_only* finds the schema as it is, and refuses `commit`.

        Raises:
            JournalError: the database cannot be reached or entered, or its schema is not the one that this release
                writes; the hint says what to do. Nothing was written.
        """
        server = Server(url, patience=patience)
        await prepare(server, read_only=read_only)
        journal = cls(
            server,
            owner=owner or secrets.token_hex(8),
            dead=dead,
            lease=lease,
            group_rows=group_rows,
            read_only=read_only,
        )
        if not read_only:
            try:
                rows = await journal._connections.ask(STATEMENTS["deleted_runs"], {})
            except BaseException:
                await journal.close()
                raise
            if rows:
                journal._sweep_later([number for (number,) in rows])
        return journal

    @property
    def failure(self) -> JournalError | None:
        """Why the journal takes no further commits; None while all is well."""
        return None if self._writer is None else self._writer.failure

    @property
    def is_sweeping(self) -> bool:
        """Whether rows of runs that were deleted before the last opening are still being swept away."""
        return bool(self._sweeping)

    def commit(self, batch: Batch) -> Receipt[None]:
        return self._open_writer().give(batch)

    async def run(self, run: RunId) -> RunRecord | None:
        return await self._reader.run(run)

    async def runs(self, where: RunFilter) -> Sequence[RunRecord]:
        return await self._reader.runs(where)

    async def unfinished_runs(self) -> Sequence[RunRecord]:
        return await self._reader.unfinished_runs()

    async def matching_runs(self, prefix: str, *, limit: int = 10) -> Sequence[RunId]:
        return await self._reader.matching_runs(prefix, limit)

    async def action(self, run: RunId, action: ActionId) -> ActionRecord | None:
        return await self._reader.action(run, action)

    async def actions_named(self, run: RunId, actions: Sequence[ActionId]) -> Sequence[ActionRecord]:
        return await self._reader.actions_named(run, actions)

    async def matching_actions(self, run: RunId, prefix: str, *, limit: int = 10) -> Sequence[ActionId]:
        return await self._reader.matching_actions(run, prefix, limit)

    async def actions(
        self,
        run: RunId,
        *,
        parent: ActionId | None = None,
        phases: Sequence[ActionPhase] = (),
        after: int = 0,
        limit: int = 1000,
    ) -> Sequence[tuple[int, ActionRecord]]:
        return await self._reader.actions(run, parent, phases, after, limit)

    async def count_actions(self, run: RunId) -> dict[ActionPhase, int]:
        return await self._reader.count_actions(run)

    async def attempts(self, run: RunId, action: ActionId) -> Sequence[AttemptRecord]:
        return await self._reader.attempts(run, action)

    async def changes(self, run: RunId, *, after: int = 0, limit: int = 1000) -> Sequence[Change]:
        return await self._reader.changes(run, after, limit)

    async def last_seq(self, run: RunId) -> int:
        return await self._reader.last_seq(run)

    async def spec(self, spec: SpecDigest) -> SpecRecord | None:
        return await self._reader.spec(spec)

    async def specs(self, *, limit: int = 1000) -> Sequence[SpecRecord]:
        return await self._reader.specs(limit)

    async def delete_run(self, run: RunId) -> bool:
        """Forget a run that this owner has, or that nobody has. Once it is forgotten its rows are swept away beside
        other work; what a crash leaves of them, the next opening sweeps."""
        number = await self._open_writer().give(partial(forget, run=run))
        if number is None:
            return False
        self._holdings.ended(run)
        await self._sweep([number])
        return True

    async def close(self) -> None:
        for task in list(self._sweeping):
            task.cancel()
        await asyncio.gather(*self._sweeping, return_exceptions=True)
        if self._writer is not None:
            if self._writer.failure is None:
                # Others need not wait until the leases run out.
                last = self._writer.give(self._leave)
                await self._writer.close()
                if last.error is not None:
                    _log.warning("journal %s: its leases run out by themselves: %s", self._where, last.error)
            else:
                await self._writer.close()
        await self._connections.close()

    async def _leave(self, connection: Connection, _: Storing) -> None:
        held = self._holdings.held
        given = {"runs": list(held), "tokens": list(held.values()), "owner": self._holdings.owner, "writer": self._name}
        for statement in ("give_back", "forget_writer"):
            await connection.execute(STATEMENTS[statement].encode(), given)

    def _open_writer(self) -> Writer:
        if self._writer is None:
            raise JournalError(f"journal {self._where}: it was opened for reading only")
        return self._writer

    def _sweep_later(self, numbers: Sequence[int]) -> None:
        task = asyncio.create_task(self._sweep(numbers))
        self._sweeping.add(task)
        task.add_done_callback(self._sweeping.discard)

    async def _sweep(self, numbers: Sequence[int]) -> None:
        try:
            for number in numbers:
                while await self._connections.use(partial(sweep, number=number), doing="sweeping"):
                    pass
        except JournalError as error:
            _log.warning("sweeping deleted runs goes on when the journal is opened again: %s", error)
