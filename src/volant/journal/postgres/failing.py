"""Postgres's errors as the journal's: what happened, to which database, and what can be done."""

from typing import Any, NamedTuple

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict

from volant.model.errors import JournalError

UNSTORABLE = (ValueError, TypeError, OverflowError, KeyError, psycopg.DataError, psycopg.IntegrityError)
"""What encoding, or the server, raises for a value that no row can hold."""

AGAIN = (errors.SerializationFailure, errors.DeadlockDetected)
"""The transaction was rolled back through no fault of its own."""


class _Remedy(NamedTuple):
    words: str
    """In the server's or the library's message."""
    hint: str


_REMEDIES = (
    _Remedy("password authentication failed", "check the user and the password in VOLANT_DATABASE"),
    _Remedy("no password supplied", "give the password in VOLANT_DATABASE, in PGPASSWORD or in ~/.pgpass"),
    _Remedy("Connection refused", "start the server, or correct the host and the port in VOLANT_DATABASE"),
    _Remedy("No such file or directory", "start the server, or correct the host and the port in VOLANT_DATABASE"),
    _Remedy("timeout expired", "start the server, or correct the host and the port in VOLANT_DATABASE"),
    _Remedy("resolve host", "correct the host in VOLANT_DATABASE"),
    _Remedy("too many", "raise max_connections of the server; an engine needs up to six"),
    _Remedy("read-only transaction", "name the primary server, and check default_transaction_read_only"),
    _Remedy("permission denied", "grant this user CREATE on the database, or have its owner run `volant db upgrade`"),
    _Remedy("No space left", "free some space on the server, then resume the runs"),
    _Remedy("relation", "restore it from a backup"),
)


def journal_error(error: BaseException, where: str, doing: str) -> JournalError:
    """The error to raise, `from` the one it explains."""
    text = " ".join(str(error).split())
    hint = next((remedy.hint for remedy in _REMEDIES if remedy.words in text), None)
    return JournalError(f"journal {where}: {doing} failed: {text or type(error).__name__}", hint=hint)


def opening_error(error: BaseException, url: str, where: str) -> JournalError:
    """As `journal_error`, for a connection that did not come about."""
    refusal = journal_error(error, where, "connecting")
    if " does not exist" in str(error) and "database" in str(error):
        refusal.hint = f"create the database: {_createdb(url)}"
    return refusal


class ConnectionLostError(psycopg.OperationalError):
    """A connection that is gone, or that did not come about: trying again on another may help."""


def is_lost(error: psycopg.Error, connection: "psycopg.AsyncConnection[Any]") -> bool:
    """Whether it was the connection that failed, rather than what was asked."""
    if connection.closed or connection.broken or isinstance(error, (errors.AdminShutdown, errors.CrashShutdown)):
        return True
    # What the server says has a code. Without one it is the client library that cannot go on with this connection,
    # though it may not have seen yet that it is closed.
    return isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)) and error.sqlstate is None


def is_worth_waiting(error: ConnectionLostError) -> bool:
    """Whether a server that was there before may soon be there again."""
    text = str(error)
    return not any(words in text for words in ("authentication", "does not exist", "no password", "no pg_hba.conf"))


def is_starting(error: ConnectionLostError) -> bool:
    """Whether the server said that it will soon accept connections."""
    return "starting up" in str(error) or "shutting down" in str(error)


def shown(url: str) -> str:
    """A URL, or whatever was given as one, without its password.

    Raises:
        JournalError: it is not one.
    """
    try:
        parts = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        # Not told, nor as the cause: it quotes what it did not understand, which may be the password.
        raise JournalError(
            "the URL of the database is not understood", hint="wanted postgresql://user:password@host:port/database"
        ) from None
    user = f"{parts['user']}@" if parts.get("user") else ""
    port = f":{parts['port']}" if parts.get("port") else ""
    name = parts.get("dbname") or parts.get("user") or ""
    return f"postgresql://{user}{parts.get('host') or ''}{port}/{name}"


def _createdb(url: str) -> str:
    parts = conninfo_to_dict(url)
    options = [(flag, parts.get(name)) for flag, name in (("-h", "host"), ("-p", "port"), ("-U", "user"))]
    words = [f"{flag} {value}" for flag, value in options if value]
    return " ".join(["createdb", *words, str(parts.get("dbname") or parts.get("user") or "volant")])
