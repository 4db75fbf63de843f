"""Looking after a SQLite file."""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from volant.journal.backups import finish, part_of
from volant.journal.checking import Checker, differences
from volant.journal.sqlite.failing import journal_error
from volant.journal.sqlite.journal import SqliteJournal
from volant.journal.sqlite.opening import MIGRATIONS, connect, prepare, schema_version
from volant.model.errors import JournalError
from volant.ports.maintenance import Checked, Looked, Upgraded

T = TypeVar("T")

_BUSY_MS = 5000


class SqliteMaintenance:
    """`Maintenance` of the journal in one file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def look(self) -> Looked:
        version = 0
        if self._path.exists():
            version = await self._in_thread(lambda connection: schema_version(connection, self._path), "looking at it")
        return Looked(server=f"SQLite {sqlite3.sqlite_version}", version=version, wanted=len(MIGRATIONS))

    async def upgrade(self) -> Upgraded:
        def work(connection: sqlite3.Connection) -> Upgraded:
            before = schema_version(connection, self._path)
            prepare(connection, self._path, upgrades=True)
            return Upgraded(before=before, after=schema_version(connection, self._path))

        return await self._in_thread(work, "upgrading")

    async def check(self) -> Checked:
        self._must_exist()
        journal = await SqliteJournal.open(self._path, read_only=True)
        try:
            problems = await self._in_thread(_check_file, "checking")
            return await Checker(journal).check(problems)
        finally:
            await journal.close()

    async def backup(self, target: Path) -> None:
        self._must_exist()
        part = part_of(target)

        def work(connection: sqlite3.Connection) -> None:
            schema_version(connection, self._path)
            try:
                connection.execute("VACUUM INTO ?", (str(part),))
                finish(part, target)
            finally:
                part.unlink(missing_ok=True)

        await self._in_thread(work, "backing up")

    def _must_exist(self) -> None:
        if not self._path.exists():
            raise JournalError(f"journal {self._path}: there is no such file")

    async def _in_thread(self, work: Callable[[sqlite3.Connection], T], doing: str) -> T:
        def connected() -> T:
            with closing(connect(self._path, busy_timeout_ms=_BUSY_MS)) as connection:
                return work(connection)

        try:
            return await asyncio.to_thread(connected)
        except sqlite3.Error as error:
            raise journal_error(error, self._path, doing) from error
        except OSError as error:
            raise JournalError(f"journal {self._path}: {doing} failed: {error}") from error


def _check_file(connection: sqlite3.Connection) -> list[str]:
    rows = connection.execute("PRAGMA integrity_check").fetchall()
    problems = [f"SQLite's own check: {text}" for (text,) in rows if text != "ok"]
    with closing(sqlite3.connect(":memory:")) as fresh:
        for step in MIGRATIONS:
            fresh.executescript(step.sql)
        return problems + differences("the schema:", _objects(connection), _objects(fresh))


def _objects(connection: sqlite3.Connection) -> dict[str, str]:
    rows = connection.execute("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL")
    return {f"{kind} {name}": " ".join(sql.split()) for kind, name, sql in rows if not name.startswith("sqlite_")}
