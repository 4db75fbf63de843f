"""The one writer of an engine: group commit, and an answer to what became of a COMMIT whose connection was lost.

What is given while a group is being stored waits in memory and becomes the next group. When the connection breaks, the
group in hand may or may not be durable. Each group therefore writes its number into the writer's row of the table
`writers`, first and under a row lock. Whoever asks for that row afterwards, on a new connection, waits until the lost
transaction has ended, and learns from the number whether to tell or to store again. Nothing is told in between.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import psycopg

from volant.journal.postgres.connecting import Connection, Server
from volant.journal.postgres.failing import (
    AGAIN,
    UNSTORABLE,
    ConnectionLostError,
    is_lost,
    journal_error,
)
from volant.journal.postgres.opening import STATEMENTS
from volant.journal.postgres.storing import Storing, unstorable
from volant.journal.receipts import Receipt
from volant.model.errors import JournalError
from volant.model.records import Batch

_MOST_TRIES = 20
"""At one group: a server that dies of it every time is not asked for ever."""

# A process that was stopped in the middle of a transaction would keep others from taking over its runs.
_SETTINGS = (
    "SET idle_in_transaction_session_timeout TO '15s'",
    "SET default_transaction_isolation TO 'read committed'",
    # Whatever the database or the role says: what is told has to be durable.
    "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'",
)

_log = logging.getLogger(__name__)

T = TypeVar("T")
Step = Callable[[Connection, Storing], Awaitable[Any]]
"""Work that is a transaction of its own; what it returns is its receipt's result."""
_Given = tuple[Batch | Step, Receipt[Any]]


class OutOfReachError(JournalError):
    """The server is away; nothing more can be written."""


class Writer:
    """Owns the writing connection, and the queue before it."""

    def __init__(self, server: Server, storing: Storing, *, name: str, group_rows: int) -> None:
        self._server = server
        self._storing = storing
        self._name = name
        self._group_rows = group_rows
        self._loop = asyncio.get_running_loop()
        self._connection: Connection | None = None
        self._queue: deque[_Given] = deque()
        self._stirred = asyncio.Event()
        self._groups = 0
        self._failure: JournalError | None = None
        self._closing = False
        self._task = self._loop.create_task(self._serve(), name="volant-journal")

    @property
    def failure(self) -> JournalError | None:
        """Why nothing can be written any more; None while all is well."""
        return self._failure

    def give(self, work: Batch | Step) -> Receipt[Any]:
        """Queue work; its receipt is done when it is durable."""
        receipt: Receipt[Any] = Receipt(self._loop)
        if self._failure is not None:
            receipt.fail(self._failure)
        elif self._closing:
            receipt.fail(JournalError(f"journal {self._server.where}: it was closed, nothing can be written to it"))
        else:
            self._queue.append((work, receipt))
            self._stirred.set()
        return receipt

    async def close(self) -> None:
        """Finish what was given, then let go of the connection."""
        self._closing = True
        self._stirred.set()
        await asyncio.shield(self._task)

    async def _serve(self) -> None:
        try:
            while True:
                # Whoever was just told runs first, so that what it gives joins the next group.
                await asyncio.sleep(0)
                if self._queue:
                    await self._next()
                elif self._closing:
                    break
                else:
                    self._stirred.clear()
                    await self._stirred.wait()
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody may wait for ever
            self._fail(error)
        finally:
            if self._connection is not None:
                await self._connection.close()

    async def _next(self) -> None:
        work, receipt = self._queue[0]
        if isinstance(work, Batch):
            await self._store(self._next_group())
            return
        result: Any = None

        async def attempt(connection: Connection, number: int) -> None:
            nonlocal result
            await self._storing.begin(connection, number)
            result = await work(connection, self._storing)
            await connection.execute("COMMIT")

        try:
            await self._do(attempt)
        except (JournalError, *UNSTORABLE) as error:
            if self._failure is not None or isinstance(error, OutOfReachError):
                raise
            self._queue.popleft()
            receipt.fail(error if isinstance(error, JournalError) else unstorable(error))
            return
        self._queue.popleft()
        receipt.succeed(result)

    def _next_group(self) -> list[tuple[Batch, Receipt[Any]]]:
        group: list[tuple[Batch, Receipt[Any]]] = []
        rows = 0
        for work, receipt in self._queue:
            if not isinstance(work, Batch) or rows >= self._group_rows:
                break
            group.append((work, receipt))
            rows += len(work.actions) + len(work.attempts) + len(work.changes) + len(work.runs) + len(work.specs)
        return group

    async def _store(self, group: list[tuple[Batch, Receipt[Any]]], *, is_second: bool = False) -> None:
        """Store a group, and tell. What is not told is still in the queue."""
        batches = [batch for batch, _ in group]
        try:
            await self._do(lambda connection, number: self._storing.store(connection, number, batches))
        except UNSTORABLE as error:
            if is_second:
                self._queue.popleft()
                _log.error("a batch was refused: %s", error)
                group[0][1].fail(unstorable(error))
                return
            # Which batch it came from, coalescing has hidden: take them one by one.
            for given in group:
                await self._store([given], is_second=True)
            return
        self._storing.committed()
        for index, (_, receipt) in enumerate(group):
            self._queue.popleft()
            refusal = self._storing.refused.get(index)
            if refusal is None:
                receipt.succeed(None)
            else:
                _log.error("a batch was refused: %s", refusal)
                receipt.fail(refusal)

    async def _do(self, attempt: Callable[[Connection, int], Awaitable[None]]) -> None:
        """Do one transaction, as often as the server has to be asked.

        Raises:
            OutOfReachError: whether it is done is not known.
            psycopg.Error: it is not done.
        """
        self._groups += 1
        for _ in range(_MOST_TRIES):
            connection = self._connection
            if connection is None:
                connection = await self._insist(self._connect)
            try:
                with self._server.heard_in_time(connection):
                    await attempt(connection, self._groups)
            except psycopg.Error as error:
                self._storing.failed()
                if is_lost(error, connection):
                    _log.warning("journal %s: lost while writing: %s", self._server.where, " ".join(str(error).split()))
                    await self._drop()
                    if await self._insist(self._has_landed):
                        return
                    continue
                await self._roll_back(connection)
                if not isinstance(error, AGAIN):
                    raise
            except Exception:
                self._storing.failed()
                await self._roll_back(connection)
                raise
            else:
                return
        raise OutOfReachError(f"journal {self._server.where}: {_MOST_TRIES} tries to store the same changes failed")

    async def _insist(self, attempt: Callable[[], Awaitable[T]]) -> T:
        try:
            return await self._server.insist(attempt, doing="writing")
        except ConnectionLostError as error:
            text = " ".join(str(error).split())
            raise OutOfReachError(
                f"journal {self._server.where}: the server could not be reached for {self._server.patience:g} s: "
                f"{text}; whether the last changes are stored is not known",
                hint="start the server again and resume the runs: they go on from what is stored",
            ) from error

    async def _connect(self) -> Connection:
        self._connection = await self._server.connect(*_SETTINGS)
        return self._connection

    async def _has_landed(self) -> bool:
        """Whether the group in hand is stored, though its connection was lost. The next one is on a new connection."""
        connection = await self._connect()
        try:
            with self._server.heard_in_time(connection):
                cursor = await connection.execute(STATEMENTS["committed_groups"].encode(), {"writer": self._name})
                rows = await cursor.fetchall()
        except psycopg.OperationalError as error:
            await self._drop()
            raise ConnectionLostError(str(error)) from error
        return bool(rows) and rows[0][0] >= self._groups

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _roll_back(self, connection: Connection) -> None:
        try:
            await connection.execute("ROLLBACK")
        except psycopg.Error as error:
            # The server rolls back by itself when the connection ends.
            _log.warning("journal %s: rolling back failed: %s", self._server.where, error)
            await self._drop()

    def _fail(self, error: Exception) -> None:
        failure = error if isinstance(error, JournalError) else journal_error(error, self._server.where, "writing")
        failure.__cause__ = error.__cause__ if failure is error else error
        self._failure = failure
        _log.error("%s; it takes no further commits", failure, exc_info=error)
        queue, self._queue = self._queue, deque()
        for _, receipt in queue:
            receipt.fail(failure)
