"""SQLite's errors as the journal's: what happened, to which file, and what can be done."""

import sqlite3
from pathlib import Path

from volant.model.errors import JournalError

_SENTENCES: dict[int, tuple[str, str | None]] = {
    sqlite3.SQLITE_BUSY: (
        "another process is writing to it (database is locked)",
        "a home has one engine; end the other program that has this file open for writing",
    ),
    sqlite3.SQLITE_LOCKED: ("another connection is writing to it (database is locked)", None),
    sqlite3.SQLITE_FULL: ("the disk or its quota is full", "free some space, then resume the runs"),
    sqlite3.SQLITE_READONLY: ("the file or its folder is read-only", "make it writable for this user"),
    sqlite3.SQLITE_CANTOPEN: ("the file cannot be opened", "its folder must exist and be writable for this user"),
    sqlite3.SQLITE_IOERR: ("reading or writing the file failed", None),
    sqlite3.SQLITE_CORRUPT: ("the file is damaged", "restore it from a backup"),
    sqlite3.SQLITE_NOTADB: ("the file is not a SQLite database", None),
}


def journal_error(error: Exception, path: Path, doing: str) -> JournalError:
    """The error to raise, `from` the one it explains."""
    sentence, hint = _SENTENCES.get(primary_code(error), (type(error).__name__, None))
    return JournalError(f"journal {path}: {doing} failed: {sentence}: {error}", hint=hint)


def is_busy(error: sqlite3.Error) -> bool:
    """Whether another process holds the write lock."""
    return primary_code(error) == sqlite3.SQLITE_BUSY


def primary_code(error: Exception) -> int:
    """SQLite's result code without its extension; 0 when the error is not SQLite's own."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF
