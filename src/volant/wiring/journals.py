"""Opens the journal that the settings name, with the leases that its engine needs."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from volant.engine.ownership import HomeLock
from volant.model.errors import JournalError, NotSupportedError
from volant.ports.journal import Journal
from volant.ports.leases import Leases
from volant.settings.tree import Settings
from volant.wiring.stores import is_shared, journal_file


class OpenJournal(NamedTuple):
    """A journal and which of its runs may be written."""

    journal: Journal
    leases: Leases


async def open_journal(settings: Settings, *, owner: str, dead: Sequence[str] = ()) -> OpenJournal:
    """The journal, opened for the one engine of this name. Leases of *dead* engines need not run out.

    Raises:
        JournalError: it cannot be opened; the hint says what to do.
        NotSupportedError: a package is missing, or there is no adapter for the URL.
    """
    if is_shared(settings):
        return await _open_postgres(settings, owner, dead)
    from volant.journal.sole_leases import SoleLeases
    from volant.journal.sqlite.journal import SqliteJournal

    journal = await SqliteJournal.open(journal_file(settings))
    return OpenJournal(journal, SoleLeases(journal, owner=owner))


def lock_journal(settings: Settings, now: datetime) -> HomeLock | None:
    """Keep the engines of other homes off a SQLite file; a database that engines share needs no lock.

    Raises:
        JournalError: the engine of another home writes to it.
    """
    if is_shared(settings):
        return None
    path: Path = journal_file(settings)
    lock = HomeLock.acquire(path.with_name(f"{path.name}.lock"), started_at=now)
    if lock is None:
        msg = f"the journal {path} is written by the engine of another home"
        raise JournalError(msg, hint="give each home a database of its own")
    return lock


def missing_postgres(error: ImportError) -> NotSupportedError:
    """What to say where psycopg cannot be imported."""
    msg = f"a journal on Postgres needs the package psycopg ({error})"
    return NotSupportedError(msg, hint="pip install 'volant[postgres]'")


async def _open_postgres(settings: Settings, owner: str, dead: Sequence[str]) -> OpenJournal:
    try:
        from volant.journal.postgres.journal import PostgresJournal
    except ImportError as error:
        raise missing_postgres(error) from error
    journal = await PostgresJournal.open(settings.database or "", owner=owner, dead=dead)
    return OpenJournal(journal, journal.leases)
