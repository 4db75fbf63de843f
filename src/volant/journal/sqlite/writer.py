"""The one writer: group commit on the loop's thread, a slow disk's answer awaited in another.

A statement takes a few microseconds, a commit waits for the disk a thousand times longer. A thread that executed
statements would give up and re-take the interpreter for each of them, and with a busy loop every re-taking may
cost milliseconds. So the statements of a group are executed on the loop's thread and only COMMIT goes to a thread of
its own. What is given meanwhile waits in memory and becomes the next group.

Handing work to a thread and hearing of its end costs a fraction of a millisecond. A disk that answers in less than
that, as long as it does, is waited for right here.
"""

import asyncio
import logging
import sqlite3
import time
from collections import deque
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from volant.journal.planning import Heads
from volant.journal.receipts import Receipt
from volant.journal.sqlite.failing import is_busy, journal_error
from volant.journal.sqlite.opening import STATEMENTS
from volant.journal.sqlite.storing import UNSTORABLE, StoredHeads, store, unstorable
from volant.journal.sqlite.thread import LoopThread
from volant.model.errors import JournalError
from volant.model.records import Batch

_BEGIN = STATEMENTS["begin"]
_PROMPT = 0.0006
"""Seconds. While commits take less on average, they are not worth a thread."""
_WEIGHT = 0.2
"""Of the newest commit in the average."""
_BUSY_PAUSE = 0.02
"""Seconds between two tries at the write lock."""

_log = logging.getLogger(__name__)

Step = Callable[[sqlite3.Connection, Heads], Any]
"""Work that is a transaction of its own; what it returns is its receipt's result."""


class Writer:
    """Owns the writing connection, the queue before it and the thread that commits."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path,
        *,
        group_rows: int,
        busy_timeout: timedelta,
    ) -> None:
        self._connection = connection
        self._path = path
        self._group_rows = group_rows
        self._busy_timeout = busy_timeout.total_seconds()
        self._busy_since: float | None = None
        self._loop = asyncio.get_running_loop()
        self._lookup = StoredHeads(connection)
        self._heads = Heads(last_number=self._lookup.last_number())
        self._queue: deque[tuple[Batch | Step, Receipt[Any]]] = deque()
        self._active = False
        """A group is scheduled, or being committed."""
        self._failure: JournalError | None = None
        self._closed: asyncio.Future[None] | None = None
        self._thread = LoopThread("volant-journal")
        self._commit_seconds = 2 * _PROMPT
        """A moving average; one slow commit is enough to use the thread for a while."""

    @property
    def failure(self) -> JournalError | None:
        """Why nothing can be written any more; None while all is well."""
        return self._failure

    def give(self, work: Batch | Step) -> Receipt[Any]:
        """Queue work; its receipt is done when it is durable."""
        receipt: Receipt[Any] = Receipt(self._loop)
        if self._failure is not None:
            receipt.fail(self._failure)
        elif self._closed is not None:
            receipt.fail(JournalError(f"journal {self._path}: it was closed, nothing can be written to it"))
        else:
            self._queue.append((work, receipt))
            if not self._active:
                self._active = True
                # Not at once: what the loop's current turn has still to give joins the group.
                self._loop.call_soon(self._begin)
        return receipt

    async def close(self) -> None:
        """Finish what was given, then let go of the connection."""
        if self._closed is None:
            self._closed = self._loop.create_future()
            if not self._active:
                self._let_go()
        await asyncio.shield(self._closed)

    def _begin(self) -> None:
        try:
            self._connection.execute(_BEGIN)
        except sqlite3.Error as error:
            self._not_begun(error)
            return
        self._busy_since = None
        try:
            receipts = self._execute()
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody may wait for ever
            self._fail(error, "writing")
            return
        if self._commit_seconds > _PROMPT:
            self._thread.run(self._commit, lambda _, error: self._committed(receipts, error))
            return
        failure: Exception | None = None
        try:
            self._commit()
        except sqlite3.Error as error:
            failure = error
        self._loop.call_soon(self._committed, receipts, failure)

    def _not_begun(self, error: sqlite3.Error) -> None:
        now = self._loop.time()
        if self._busy_since is None:
            self._busy_since = now
        if is_busy(error) and now - self._busy_since < self._busy_timeout:
            self._loop.call_later(_BUSY_PAUSE, self._begin)
        else:
            self._fail(error, "writing")

    def _execute(self) -> list[tuple[Receipt[Any], Any]]:
        """Execute the next group inside the transaction; what to tell when it is durable."""
        work, receipt = self._queue[0]
        if not isinstance(work, Batch):
            try:
                result = work(self._connection, self._heads)
            except UNSTORABLE as error:
                self._queue.popleft()
                receipt.fail(unstorable(error))
                return []
            self._queue.popleft()
            return [(receipt, result)]
        group = self._next_group()
        refused = store(self._connection, self._heads, self._lookup, [batch for batch, _ in group])
        for _ in group:
            self._queue.popleft()
        for index, refusal in refused.items():
            _log.error("a batch was refused: %s", refusal)
            group[index][1].fail(refusal)
        return [(receipt, None) for index, (_, receipt) in enumerate(group) if index not in refused]

    def _next_group(self) -> list[tuple[Batch, Receipt[Any]]]:
        group: list[tuple[Batch, Receipt[Any]]] = []
        rows = 0
        for work, receipt in self._queue:
            if not isinstance(work, Batch) or rows >= self._group_rows:
                break
            group.append((work, receipt))
            rows += len(work.actions) + len(work.attempts) + len(work.changes) + len(work.runs) + len(work.specs)
        return group

    def _committed(self, receipts: list[tuple[Receipt[Any], Any]], error: Exception | None) -> None:
        if error is not None:
            self._fail(error, "committing", receipts)
            return
        for receipt, result in receipts:
            receipt.succeed(result)
        if self._queue:
            # Whoever was just told runs first, so that what it gives joins this group.
            self._loop.call_soon(self._begin)
            return
        self._active = False
        if self._closed is not None:
            self._let_go()

    def _fail(self, error: Exception, doing: str, receipts: list[tuple[Receipt[Any], Any]] | None = None) -> None:
        failure = journal_error(error, self._path, doing)
        failure.__cause__ = error
        self._failure = failure
        _log.error("%s; it takes no further commits", failure, exc_info=error)
        self._active = False
        self._roll_back()
        waiting = [receipt for receipt, _ in receipts or ()] + [receipt for _, receipt in self._queue]
        self._queue.clear()
        for receipt in waiting:
            receipt.fail(failure)
        if self._closed is not None:
            self._let_go()

    def _roll_back(self) -> None:
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            # The lock goes with the connection; the next opening finds the last commit.
            _log.warning("journal %s: rolling back failed: %s", self._path, error)

    def _let_go(self) -> None:
        # Closing copies the log into the database: that waits for the disk too.
        self._thread.run(self._connection.close, lambda _, error: self._gone(error))
        self._thread.stop()

    def _commit(self) -> None:
        started = time.perf_counter()
        self._connection.execute("COMMIT")
        seconds = time.perf_counter() - started
        self._commit_seconds += _WEIGHT * (seconds - self._commit_seconds)

    def _gone(self, error: Exception | None) -> None:
        if error is not None:
            _log.warning("journal %s: closing it failed: %s", self._path, error)
        if self._closed is not None:
            self._closed.set_result(None)
