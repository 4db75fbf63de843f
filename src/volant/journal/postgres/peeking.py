"""A glance into a journal on a server, for shell completion.

A server may be slow or gone, and some waits of a connection cannot be broken off, such as that for a host's name. So a
thread asks, and whoever pressed a key waits for it no longer than it may take.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, TypeVar

from volant.journal.postgres.journal import PostgresJournal
from volant.model.ids import RunId
from volant.ports.journal import RunFilter
from volant.ports.peeking import Glimpse

T = TypeVar("T")

_NEWEST = 1000
"""So many runs are looked at for the tasks that they were made of."""


class PostgresPeek:
    """`Peek` into the database at a URL, for so many *seconds* from now on."""

    def __init__(self, url: str, *, seconds: float) -> None:
        self._url = url
        self._deadline = time.monotonic() + seconds

    def runs(self, prefix: str, *, limit: int) -> list[Glimpse]:
        async def ask(journal: PostgresJournal) -> list[Glimpse]:
            if not prefix:
                return [Glimpse(each.run, each.task, each.phase.value) for each in await journal.runs(_newest(limit))]
            names = await journal.matching_runs(prefix, limit=limit)
            found = await asyncio.gather(*(journal.run(name) for name in sorted(names)))
            return [Glimpse(each.run, each.task, each.phase.value) for each in found if each is not None]

        return self._in_time(ask)

    def root_tasks(self, *, limit: int) -> list[str]:
        async def ask(journal: PostgresJournal) -> list[str]:
            return sorted({each.task for each in await journal.runs(_newest(_NEWEST))})[:limit]

        return self._in_time(ask)

    def actions(self, run: str, prefix: str, *, limit: int) -> list[Glimpse]:
        async def ask(journal: PostgresJournal) -> list[Glimpse]:
            names = await journal.matching_runs(run, limit=2)
            name = RunId(run) if run in names else names[0] if len(names) == 1 else None
            if name is None:
                return []
            if not prefix:
                actions = [action for _, action in await journal.actions(name, limit=limit)]
            else:
                ids = await journal.matching_actions(name, prefix, limit=limit)
                found = await asyncio.gather(*(journal.action(name, each) for each in ids))
                actions = [action for action in found if action is not None]
            return [Glimpse(action.action, action.task, action.phase.value) for action in actions]

        return self._in_time(ask)

    def _in_time(self, ask: Callable[[PostgresJournal], Coroutine[Any, Any, list[T]]]) -> list[T]:
        """What is answered in time.

        Raises:
            TimeoutError: nothing is, or it was refused.
        """
        answers: list[list[T]] = []
        remaining = self._deadline - time.monotonic()

        async def look() -> None:
            patience = timedelta(seconds=max(remaining, 0.001))
            journal = await PostgresJournal.open(self._url, read_only=True, patience=patience)
            try:
                answers.append(await ask(journal))
            finally:
                await journal.close()

        # As a daemon: it is left behind when the time is over.
        thread = threading.Thread(target=_silently, args=(look,), name="volant-peek", daemon=True)
        thread.start()
        thread.join(max(remaining, 0))
        if not answers:
            raise TimeoutError
        return answers[0]


def _silently(look: Callable[[], Coroutine[Any, Any, None]]) -> None:
    try:
        asyncio.run(look())
    except Exception:  # noqa: BLE001 - an error in the middle of a line that is being typed helps nobody
        return


def _newest(limit: int) -> RunFilter:
    return RunFilter(limit=limit)
