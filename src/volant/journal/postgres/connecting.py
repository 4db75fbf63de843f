"""Connections to the server, and patience with one that is away for a while.

A server is restarted, a network breaks for a second: whoever waits for a commit or an answer need not hear of it. So
what failed with its connection is done again on a new one, after pauses that double, until patience ends.
"""

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Generator, Mapping
from datetime import timedelta
from typing import Any, TypeVar

import psycopg

from volant.journal.postgres.failing import (
    ConnectionLostError,
    is_lost,
    is_starting,
    is_worth_waiting,
    journal_error,
    opening_error,
    shown,
)
from volant.journal.rows import Row

T = TypeVar("T")
Connection = psycopg.AsyncConnection[Row]

_CONNECTING = 10
"""Seconds that one try may take."""
_FIRST_PAUSE = 0.02
_LAST_PAUSE = 1.0
"""Seconds between two tries."""
_LIVENESS: dict[str, Any] = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
"""What notices within half a minute that the other side is gone without a word."""
_SILENCE = 0.5
"""Of patience, that a server may take for one answer before it counts as gone, though its machine is there."""

_log = logging.getLogger(__name__)


class Server:
    """Where the database is, and how long to wait for it."""

    def __init__(self, url: str, *, patience: timedelta = timedelta(seconds=30)) -> None:
        self.url = url
        self.where = shown(url)
        """The URL without its password."""
        self.patience = patience.total_seconds()

    @contextlib.contextmanager
    def heard_in_time(self, connection: Connection) -> Generator[None]:
        """A connection on which nothing was answered for too long meanwhile is cut.

        To whoever waits for the answer it is lost like any other: what became of a COMMIT is asked on the next one.
        """
        loop = asyncio.get_running_loop()
        timer = loop.call_later(self.patience * _SILENCE, self._cut, connection)
        try:
            yield
        finally:
            timer.cancel()

    def _cut(self, connection: Connection) -> None:
        _log.warning("journal %s: no answer for %g s; cutting the connection", self.where, self.patience * _SILENCE)
        # Not closed: whoever waits on it would not wake up. The duplicate has the same wire.
        with contextlib.suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as wire:
            wire.shutdown(socket.SHUT_RDWR)

    async def connect(self, *settings: str) -> Connection:
        """A connection in autocommit mode. *settings* are statements to begin with.

        Raises:
            ConnectionLostError: there is none to be had now.
        """
        try:
            connection = await psycopg.AsyncConnection.connect(
                self.url, autocommit=True, connect_timeout=_CONNECTING, fallback_application_name="volant", **_LIVENESS
            )
        except psycopg.OperationalError as error:
            raise ConnectionLostError(str(error)) from error
        try:
            for statement in ("SET client_encoding TO 'UTF8'", *settings):
                await connection.execute(statement.encode())
        except psycopg.OperationalError as error:
            await connection.close()
            raise ConnectionLostError(str(error)) from error
        except BaseException:
            await connection.close()
            raise
        return connection

    async def first_connection(self) -> Connection:
        """As `connect`, for whoever opens the journal: it says what is wrong, and waits only for a starting server.

        Raises:
            JournalError: there is no such database, or it cannot be entered.
        """
        try:
            return await self.insist(self.connect, doing="connecting", waits_for=is_starting)
        except psycopg.Error as error:
            raise opening_error(error, self.url, self.where) from error

    async def insist(
        self,
        attempt: Callable[[], Awaitable[T]],
        *,
        doing: str,
        waits_for: Callable[[ConnectionLostError], bool] = is_worth_waiting,
    ) -> T:
        """What *attempt* returns; tried again as long as it fails for want of a server, and patience lasts.

        Raises:
            psycopg.Error: the last failure, or one that waiting does not help.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.patience
        pause = _FIRST_PAUSE
        while True:
            try:
                async with asyncio.timeout_at(max(deadline, loop.time() + pause)):
                    return await attempt()
            except ConnectionLostError as error:
                if not waits_for(error) or loop.time() + pause >= deadline:
                    raise
                _log.warning("journal %s: %s: %s; trying again", self.where, doing, " ".join(str(error).split()))
            except TimeoutError:
                raise ConnectionLostError(f"no answer for {self.patience:g} s") from None
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LAST_PAUSE)


class Connections:
    """A few connections for questions, opened when they are needed and replaced when they break."""

    def __init__(self, server: Server, *, size: int = 4) -> None:
        self._server = server
        self._idle: list[Connection] = []
        self._room = asyncio.Semaphore(size)
        self._closed = False

    async def ask(self, statement: str, parameters: Mapping[str, Any]) -> list[Row]:
        """The rows of one statement.

        Raises:
            JournalError: it could not be answered.
        """

        async def attempt(connection: Connection) -> list[Row]:
            cursor = await connection.execute(statement.encode(), parameters, binary=True)
            return await cursor.fetchall() if cursor.description else []

        return await self.use(attempt, doing="reading")

    async def use(self, work: Callable[[Connection], Awaitable[T]], *, doing: str) -> T:
        """What *work* returns; it is done again on another connection when its own breaks.

        Raises:
            JournalError: it could not be done.
        """

        async def attempt() -> T:
            connection = self._idle.pop() if self._idle else await self._server.connect()
            done = False
            try:
                with self._server.heard_in_time(connection):
                    result = await work(connection)
                done = True
            except psycopg.Error as error:
                if is_lost(error, connection):
                    # The others of a server that went away are gone too; trying each would cost a pause each.
                    await self._close_idle()
                    raise ConnectionLostError(str(error)) from error
                done = connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
                raise
            finally:
                if done and not self._closed:
                    self._idle.append(connection)
                else:
                    # Also when whoever asked was cancelled: its answer must not meet the next question.
                    await connection.close()
            return result

        async with self._room:
            if self._closed:
                raise journal_error(psycopg.InterfaceError("it was closed"), self._server.where, doing)
            try:
                return await self._server.insist(attempt, doing=doing)
            except psycopg.Error as error:
                raise journal_error(error, self._server.where, doing) from error

    async def close(self) -> None:
        """Let go of them; later questions are refused."""
        self._closed = True
        await self._close_idle()

    async def _close_idle(self) -> None:
        idle, self._idle = self._idle, []
        for connection in idle:
            await connection.close()
