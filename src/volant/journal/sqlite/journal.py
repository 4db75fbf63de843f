"""The journal on SQLite: one file, one writer, readers that never wait."""

import asyncio
import logging
import sqlite3
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Self

from volant.journal.migrations import older, outstanding
from volant.journal.receipts import Receipt
from volant.journal.sqlite.deleting import forget, sweep
from volant.journal.sqlite.failing import journal_error
from volant.journal.sqlite.opening import MIGRATIONS, STATEMENTS, connect, prepare, schema_version
from volant.journal.sqlite.reader import Reader
from volant.journal.sqlite.writer import Writer
from volant.model.errors import JournalError
from volant.model.ids import ActionId, RunId, SpecDigest
from volant.model.phases import ActionPhase
from volant.model.records import ActionRecord, AttemptRecord, Batch, Change, RunRecord, SpecRecord
from volant.ports.journal import RunFilter

_log = logging.getLogger(__name__)


class SqliteJournal:
    """A `Journal` in one SQLite file. It belongs to the loop it was opened on; call it from there only.

    Which process may write is decided elsewhere (one engine per home); a second writer is met with an error
    instead of damage. Other processes may read the same file meanwhile.
    """

    def __init__(self, path: Path, reader: Reader, writer: Writer | None) -> None:
        self._path = path
        self._reader = reader
        self._writer = writer
        self._sweeping: asyncio.Task[None] | None = None

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        read_only: bool = False,
        group_rows: int = 1000,
        busy_timeout: timedelta = timedelta(seconds=5),
        max_size: int | None = None,
    ) -> Self:
        """Open a journal, or make it where there is none.

        *read_only* is for a second process: it finds the schema as it is, and `commit` is refused. *group_rows* is
        how many rows go into one transaction at most, *max_size* how many bytes the file may have.

        Raises:
            JournalError: the file cannot be opened, is another program's, is written by another process, or its
                schema is not one that this release knows. Nothing was written.
        """
        milliseconds = round(busy_timeout.total_seconds() * 1000)
        try:
            if read_only:
                _check_readable(path, milliseconds)
                return cls(path, Reader(path, busy_timeout_ms=milliseconds), None)
            connection = connect(path, busy_timeout_ms=milliseconds)
            try:
                prepare(connection, path)
                _limit(connection, max_size)
                # From here on the writer waits for the lock by itself, without holding the loop.
                connection.execute("PRAGMA busy_timeout = 0")
                deleted = [number for (number,) in connection.execute(STATEMENTS["deleted_runs"]).fetchall()]
                reader = Reader(path, busy_timeout_ms=milliseconds)
                writer = Writer(connection, path, group_rows=group_rows, busy_timeout=busy_timeout)
            except BaseException:
                connection.close()
                raise
        except sqlite3.Error as error:
            raise journal_error(error, path, "opening") from error
        journal = cls(path, reader, writer)
        if deleted:
            journal._sweeping = asyncio.create_task(journal._sweep(deleted))
        return journal

    @property
    def failure(self) -> JournalError | None:
        """Why the journal takes no further commits; None while all is well."""
        return None if self._writer is None else self._writer.failure

    @property
    def is_sweeping(self) -> bool:
        """Whether rows of runs that were deleted before the last opening are still being swept away."""
        return self._sweeping is not None and not self._sweeping.done()

    def commit(self, batch: Batch) -> Receipt[None]:
        return self._open_writer().give(batch)

    async def run(self, run: RunId) -> RunRecord | None:
        return self._reader.run(run)

    async def runs(self, where: RunFilter) -> Sequence[RunRecord]:
        return await self._reader.runs(where)

    async def unfinished_runs(self) -> Sequence[RunRecord]:
        return self._reader.unfinished_runs()

    async def matching_runs(self, prefix: str, *, limit: int = 10) -> Sequence[RunId]:
        return await self._reader.matching_runs(prefix, limit)

    async def action(self, run: RunId, action: ActionId) -> ActionRecord | None:
        return self._reader.action(run, action)

    async def actions_named(self, run: RunId, actions: Sequence[ActionId]) -> Sequence[ActionRecord]:
        return self._reader.actions_named(run, actions)

    async def matching_actions(self, run: RunId, prefix: str, *, limit: int = 10) -> Sequence[ActionId]:
        return self._reader.matching_actions(run, prefix, limit)

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
        return self._reader.attempts(run, action)

    async def changes(self, run: RunId, *, after: int = 0, limit: int = 1000) -> Sequence[Change]:
        return await self._reader.changes(run, after, limit)

    async def last_seq(self, run: RunId) -> int:
        return self._reader.last_seq(run)

    async def spec(self, spec: SpecDigest) -> SpecRecord | None:
        return self._reader.spec(spec)

    async def specs(self, *, limit: int = 1000) -> Sequence[SpecRecord]:
        return self._reader.specs(limit)

    async def delete_run(self, run: RunId) -> bool:
        """Forget a run. Once it is forgotten its rows are swept away in small transactions between others;
        what a crash leaves of them, the next opening sweeps."""
        number = await self._open_writer().give(partial(forget, run=run))
        if number is None:
            return False
        await self._sweep([number])
        return True

    async def close(self) -> None:
        if self._sweeping is not None:
            self._sweeping.cancel()
            await asyncio.gather(self._sweeping, return_exceptions=True)
        if self._writer is not None:
            await self._writer.close()
        await self._reader.close()

    def _open_writer(self) -> Writer:
        if self._writer is None:
            raise JournalError(f"journal {self._path}: it was opened for reading only")
        return self._writer

    async def _sweep(self, numbers: Sequence[int]) -> None:
        writer = self._open_writer()
        try:
            for number in numbers:
                while await writer.give(partial(sweep, number=number)):
                    pass
        except JournalError as error:
            _log.warning("sweeping deleted runs goes on when the journal is opened again: %s", error)


def _check_readable(path: Path, busy_timeout_ms: int) -> None:
    if not path.exists():
        raise JournalError(f"journal {path}: there is no such file to read")
    connection = connect(path, busy_timeout_ms=busy_timeout_ms)
    try:
        version = schema_version(connection, path)
    finally:
        connection.close()
    if outstanding(MIGRATIONS, version=version, where=str(path)):
        raise older(MIGRATIONS, version=version, where=str(path))


def _limit(connection: sqlite3.Connection, max_size: int | None) -> None:
    if max_size is not None:
        ((page_size,),) = connection.execute("PRAGMA page_size").fetchall()
        connection.execute(f"PRAGMA max_page_count = {max(max_size // page_size, 1)}")
