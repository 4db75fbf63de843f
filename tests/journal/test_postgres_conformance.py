"""The journal on Postgres keeps the port's laws."""

from pathlib import Path

import pytest

from volant.journal.postgres import PostgresJournal
from volant.testing.journal import JournalConformance
from volant.testing.postgres_server import PostgresServer


class TestPostgresJournal(JournalConformance):
    @pytest.fixture(autouse=True)
    def _databases(self, postgres: PostgresServer) -> None:
        self.databases: dict[Path, str] = {}
        self.server = postgres

    async def open(self, place: Path) -> PostgresJournal:
        if place not in self.databases:
            self.databases[place] = self.server.new_database()
        return await PostgresJournal.open(self.databases[place])


class TestPostgresJournalInSmallGroups(TestPostgresJournal):
    """Groups of few rows, so that most histories are cut into many transactions."""

    async def open(self, place: Path) -> PostgresJournal:
        if place not in self.databases:
            self.databases[place] = self.server.new_database()
        return await PostgresJournal.open(self.databases[place], group_rows=1)
