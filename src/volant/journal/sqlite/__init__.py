"""The journal in a SQLite file."""

from volant.journal.sqlite.journal import SqliteJournal

__all__ = ["SqliteJournal"]
