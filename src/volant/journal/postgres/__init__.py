"""The journal in a Postgres database, which several engines may share."""

from volant.journal.postgres.journal import PostgresJournal

__all__ = ["PostgresJournal"]
