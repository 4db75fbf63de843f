"""Looking after a Postgres database."""

import asyncio
import os
import shutil
from datetime import timedelta
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from volant.journal.backups import finish, part_of
from volant.journal.checking import Checker, differences
from volant.journal.postgres.connecting import Connection, Server
from volant.journal.postgres.failing import journal_error
from volant.journal.postgres.journal import PostgresJournal
from volant.journal.postgres.opening import MIGRATIONS, look, upgrade
from volant.model.errors import JournalError
from volant.ports.maintenance import Checked, Looked, Upgraded

_COLUMNS = """
    SELECT table_name || '.' || column_name,
        data_type || ' ' || is_nullable || ' ' || coalesce(collation_name, '') || coalesce(column_default, '')
    FROM information_schema.columns WHERE table_schema = %s
"""
_INDEXES = "SELECT indexname, replace(indexdef, schemaname || '.', '') FROM pg_indexes WHERE schemaname = %s"
_GLANCE = timedelta(seconds=3)
_WANTED = "volant_wanted"
"""A schema that is there for the length of a transaction which is rolled back."""


class PostgresMaintenance:
    """`Maintenance` of the journal in one database."""

    def __init__(self, url: str) -> None:
        self._server = Server(url)

    async def look(self) -> Looked:
        return await look(Server(self._server.url, patience=_GLANCE))

    async def upgrade(self) -> Upgraded:
        before, after = await upgrade(self._server)
        return Upgraded(before=before, after=after)

    async def check(self) -> Checked:
        journal = await PostgresJournal.open(self._server.url, read_only=True)
        try:
            return await Checker(journal).check(await self._check_schema())
        finally:
            await journal.close()

    async def backup(self, target: Path) -> None:
        part = part_of(target)
        program = shutil.which("pg_dump")
        where, secret = _without_password(self._server.url)
        if program is None:
            raise JournalError(
                f"journal {self._server.where}: there is no pg_dump on this machine to write a backup with",
                hint="install the client programs of Postgres (Debian: apt-get install postgresql-client), or on "
                f"another machine: pg_dump --format=custom --schema=volant --file={target.name} '{self._server.where}'",
            )
        process = await asyncio.create_subprocess_exec(
            program,
            "--format=custom",
            "--schema=volant",
            f"--file={part}",
            where,
            env={**os.environ, **secret},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            _, said = await process.communicate()
            if process.returncode:
                text = " ".join(said.decode(errors="replace").split())
                raise JournalError(f"journal {self._server.where}: backing up failed: {text}")
            await asyncio.to_thread(finish, part, target)
        except OSError as error:
            raise JournalError(f"journal {self._server.where}: backing up failed: {error}") from error
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
            part.unlink(missing_ok=True)

    async def _check_schema(self) -> list[str]:
        connection = await self._server.first_connection()
        try:
            await connection.execute("BEGIN")
            for step in MIGRATIONS:
                text = step.sql.replace("volant.", f"{_WANTED}.").replace("EXISTS volant;", f"EXISTS {_WANTED};")
                await connection.execute(text.encode())
            found, wanted = await _described(connection, "volant"), await _described(connection, _WANTED)
            await connection.execute("ROLLBACK")
        except psycopg.errors.InsufficientPrivilege:
            # Who may only read cannot make what to compare with.
            return []
        except psycopg.Error as error:
            raise journal_error(error, self._server.where, "checking") from error
        finally:
            await connection.close()
        return differences("the schema:", found, wanted)


async def _described(connection: Connection, schema: str) -> dict[str, str]:
    described: dict[str, str] = {}
    for kind, statement in (("column", _COLUMNS), ("index", _INDEXES)):
        cursor = await connection.execute(statement.encode(), (schema,))
        rows = await cursor.fetchall()
        described |= {f"{kind} {name}": str(text).replace(_WANTED, "volant") for name, text in rows}
    return described


def _without_password(url: str) -> tuple[str, dict[str, str]]:
    """How to name the database to another program, whose arguments everybody can read, and what only it is told."""
    parts = {name: str(value) for name, value in conninfo_to_dict(url).items() if value is not None}
    password = parts.pop("password", None)
    return make_conninfo(**parts), {} if password is None else {"PGPASSWORD": password}
