"""Opening a database: what the server must be, and its schema.

An empty database is given the schema by whoever comes first. One with an older schema is not touched: other engines may
be using it, so somebody has to say that it may change (`volant db upgrade`).
"""

from datetime import UTC, datetime
from pathlib import Path

import psycopg

from volant.journal.migrations import migrations, older, outstanding
from volant.journal.postgres.connecting import Connection, Server
from volant.journal.postgres.failing import journal_error
from volant.journal.rows import Row, microseconds
from volant.journal.statements import Statements
from volant.model.errors import JournalError
from volant.ports.maintenance import Looked

STATEMENTS = Statements(Path(__file__).parent / "statements")
MIGRATIONS = migrations(Path(__file__).parent / "migrations")

OLDEST_SERVER = 13
"""The first major version that the statements are tried with."""
_LOCK = 0x566F6C61
"""`Vola` in ASCII: the key of the advisory lock under which the schema changes."""


async def prepare(server: Server, *, read_only: bool = False) -> None:
    """Check that a journal can be kept there, and make its tables in an empty database.

    Raises:
        JournalError: it cannot be reached or entered, is not fit, or has a schema that this release does not write.
            Nothing was changed.
    """
    connection = await server.first_connection()
    try:
        await _check_server(connection, server.where, read_only=read_only)
        version = await schema_version(connection)
        behind = outstanding(MIGRATIONS, version=version, where=server.where)
        if behind and (version > 0 or read_only):
            raise older(MIGRATIONS, version=version, where=server.where)
        if behind:
            await _migrate(connection, server.where)
    except psycopg.Error as error:
        raise journal_error(error, server.where, "opening") from error
    finally:
        await connection.close()


async def upgrade(server: Server) -> tuple[int, int]:
    """Bring the schema up to date; its version before and after.

    Raises:
        JournalError: as for `prepare`; nothing was changed.
    """
    connection = await server.first_connection()
    try:
        await _check_server(connection, server.where, read_only=False)
        before = await schema_version(connection)
        await _migrate(connection, server.where)
    except psycopg.Error as error:
        raise journal_error(error, server.where, "upgrading") from error
    finally:
        await connection.close()
    return before, len(MIGRATIONS)


async def look(server: Server) -> Looked:
    """What is there.

    Raises:
        JournalError: it cannot be reached or entered, or no journal can be kept there.
    """
    connection = await server.first_connection()
    try:
        await _check_server(connection, server.where, read_only=False)
        major = connection.info.server_version // 10_000
        version = await schema_version(connection)
    except psycopg.Error as error:
        raise journal_error(error, server.where, "looking at it") from error
    finally:
        await connection.close()
    return Looked(server=f"Postgres {major}", version=version, wanted=len(MIGRATIONS))


async def schema_version(connection: Connection) -> int:
    """The version of the schema; 0 where there is none."""
    # Not to_regclass: it may answer from a cache that is older than a lock which was waited for.
    there = await _rows(
        connection, "SELECT 1 FROM pg_tables WHERE schemaname = 'volant' AND tablename = 'schema_version'"
    )
    if not there:
        return 0
    ((version,),) = await _rows(connection, "SELECT coalesce(max(version), 0) FROM volant.schema_version")
    return int(version)


async def _check_server(connection: Connection, where: str, *, read_only: bool) -> None:
    major = connection.info.server_version // 10_000
    if major < OLDEST_SERVER:
        raise JournalError(f"journal {where}: the server is Postgres {major}, wanted {OLDEST_SERVER} or newer")
    ((encoding, is_read_only),) = await _rows(
        connection, "SELECT current_setting('server_encoding'), current_setting('transaction_read_only')"
    )
    if encoding != "UTF8":
        raise JournalError(
            f"journal {where}: the encoding of the database is {encoding}, wanted UTF8",
            hint="create the database with `createdb --encoding UTF8 --template template0`",
        )
    if is_read_only == "on" and not read_only:
        raise JournalError(
            f"journal {where}: the database is read-only",
            hint="name the primary server, and check default_transaction_read_only",
        )


async def _migrate(connection: Connection, where: str) -> None:
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        # Read again under the lock: another engine may have migrated meanwhile.
        version = await schema_version(connection)
        for step in outstanding(MIGRATIONS, version=version, where=where):
            await connection.execute(step.sql.encode())
            await connection.execute(
                "INSERT INTO volant.schema_version (version, name, applied_at) VALUES (%s, %s, %s)",
                (step.version, step.name, microseconds(datetime.now(UTC))),
            )


async def _rows(connection: Connection, statement: str) -> list[Row]:
    cursor = await connection.execute(statement.encode())
    return await cursor.fetchall()
