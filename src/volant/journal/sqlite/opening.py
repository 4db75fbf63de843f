"""Opening a database file: its settings and its schema."""

import sqlite3
import sys
from datetime import UTC, datetime
from pathlib import Path

from volant.journal.migrations import migrations, older, outstanding
from volant.journal.rows import microseconds
from volant.journal.statements import Statements
from volant.model.errors import JournalError

STATEMENTS = Statements(Path(__file__).parent / "statements")
MIGRATIONS = migrations(Path(__file__).parent / "migrations")

APPLICATION_ID = 0x566F6C61
"""`Vola` in ASCII: tells a journal from another program's database."""
PAGE_SIZE = 4096
CHECKPOINT_PAGES = 4000
"""Size of the write-ahead log, in pages, from which a commit copies it into the database: 16 MB."""
CACHE_KIB = 8192
"""Of pages that the writer keeps. It adds rows behind the newest ones, and to the part of an index that is the run's
own, so more would hold what is not looked at again, and the engine would grow with its history until it is full."""
OLDEST_SQLITE = (3, 37, 0)
"""The first with STRICT tables."""


def connect(path: Path, *, busy_timeout_ms: int) -> sqlite3.Connection:
    """A connection in autocommit mode that any one thread at a time may use."""
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        wanted = ".".join(map(str, OLDEST_SQLITE))
        raise JournalError(f"SQLite {sqlite3.sqlite_version} is too old for the journal: wanted {wanted} or newer")
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)
    try:
        connection.execute(f"PRAGMA busy_timeout = {busy_timeout_ms}")
    except BaseException:
        connection.close()
        raise
    return connection


def prepare(connection: sqlite3.Connection, path: Path, *, upgrades: bool = False, now: datetime | None = None) -> None:
    """Make a connection fit for writing: settings, and in an empty file the tables. Only who *upgrades* gives an older
    one the migrations that are outstanding.

    Raises:
        JournalError: the file is another program's, or older or newer than this release; it was not touched.
        sqlite3.Error: the database cannot be read or written.
    """
    version = schema_version(connection, path)
    if outstanding(MIGRATIONS, version=version, where=str(path)) and version > 0 and not upgrades:
        raise older(MIGRATIONS, version=version, where=str(path))
    if version == 0:
        connection.execute(f"PRAGMA page_size = {PAGE_SIZE}")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    if sys.platform == "darwin":
        connection.execute("PRAGMA fullfsync = ON")
        connection.execute("PRAGMA checkpoint_fullfsync = ON")
    connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
    connection.execute(f"PRAGMA journal_size_limit = {4 * CHECKPOINT_PAGES * PAGE_SIZE}")
    connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    _migrate(connection, path, now or datetime.now(UTC))


def schema_version(connection: sqlite3.Connection, path: Path) -> int:
    """The version of the schema; 0 for an empty file.

    Raises:
        JournalError: the file is not a journal.
    """
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if application not in (0, APPLICATION_ID) or (tables and "schema_version" not in tables):
        raise JournalError(f"{path} is the database of another program, wanted a volant journal or no file")
    if not tables:
        return 0
    (version,) = connection.execute("SELECT coalesce(max(version), 0) FROM schema_version").fetchone()
    return int(version)


def _migrate(connection: sqlite3.Connection, path: Path, now: datetime) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Read again under the write lock: another process may have migrated meanwhile.
        for step in outstanding(MIGRATIONS, version=schema_version(connection, path), where=str(path)):
            for statement in _split(step.sql):
                connection.execute(statement)
            connection.execute(
                "INSERT INTO schema_version (version, name, applied_at) VALUES (?, ?, ?)",
                (step.version, step.name, microseconds(now)),
            )
        connection.execute("COMMIT")
    except BaseException:
        # On a full disk SQLite has rolled back by itself, and would complain of a second time in place of the first.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _split(script: str) -> list[str]:
    # Not executescript: it commits before it starts, and a migration is one transaction.
    statements: list[str] = []
    text = ""
    for line in script.splitlines(keepends=True):
        text += line
        if sqlite3.complete_statement(text):
            statements.append(text)
            text = ""
    if text.strip():
        statements.append(text)
    return statements
