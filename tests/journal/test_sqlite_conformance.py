"""The journal on SQLite keeps the port's laws."""

from pathlib import Path

from volant.journal.sqlite import SqliteJournal
from volant.testing.journal import JournalConformance


class TestSqliteJournal(JournalConformance):
    async def open(self, place: Path) -> SqliteJournal:
        return await SqliteJournal.open(place / "journal.db")


class TestSqliteJournalInSmallGroups(JournalConformance):
    """Groups of few rows, so that most histories are cut into many transactions."""

    async def open(self, place: Path) -> SqliteJournal:
        return await SqliteJournal.open(place / "journal.db", group_rows=1)
