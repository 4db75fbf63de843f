"""Zygotes that were stopped (SIGSTOP) by one of their forks, whose parent they are.

A stopped zygote forks nothing and does not see that its workers end, so everybody's work on it would wait for ever. It
is woken within a moment. One that is stopped again and again has somebody among its workers who does nothing else: all
of them are stopped for a moment and let go by halves, and who lets the zygote be stopped once more is ended.
"""

import asyncio
import logging
import signal
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from volant.kit.processes import is_stopped, kill_tree, signal_trees
from volant.model.failures import Failure, FailureKind
from volant.model.ids import AttemptKey

log = logging.getLogger("volant.launchers")

_INTERVAL = 0.1
"""Seconds between two looks."""
_SOON = 0.01
"""Seconds until the next look after one that found a stopped zygote, and that suspects have to do it again."""
_PATIENCE = 20
"""Looks in a row that find a zygote stopped before somebody is suspected."""
_GUILTY = Failure(
    kind=FailureKind.USER,
    code="StoppedItsParent",
    message="the task stopped its parent process (SIGSTOP) again and again, and with it every task of its environment",
    retryable=False,
)


class Zygote(Protocol):
    """The part of a zygote that is needed here."""

    @property
    def pid(self) -> int: ...
    @property
    def forks(self) -> int: ...
    @property
    def workers(self) -> Mapping[AttemptKey, int]: ...
    def wake(self) -> None: ...


class Waker:
    """Looks at zygotes for as long as one of them has attempts."""

    def __init__(
        self, zygotes: Callable[[], Collection[Zygote]], *, blame: Callable[[AttemptKey, Failure], None]
    ) -> None:
        """*blame* fails an attempt and ends its processes."""
        self._zygotes = zygotes
        self._blame = blame
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._found: dict[int, int] = {}
        """Zygotes, by process id, and how many looks in a row found them stopped."""
        self._search: asyncio.Task[None] | None = None

    def watch(self) -> None:
        """An attempt was started."""
        if self._timer is None:
            self._timer = self._loop.call_later(_INTERVAL, self._look)

    async def close(self) -> None:
        """Look no more; nobody stays stopped."""
        if self._timer is not None:
            self._timer.cancel()
        if self._search is not None:
            self._search.cancel()
            await asyncio.gather(self._search, return_exceptions=True)

    def _look(self) -> None:
        self._timer = None
        zygotes = [zygote for zygote in self._zygotes() if zygote.forks]
        stopped = [zygote for zygote in zygotes if is_stopped(zygote.pid)]
        self._found = {zygote.pid: self._found.get(zygote.pid, 0) + 1 for zygote in stopped}
        for zygote in stopped:
            zygote.wake()
            if self._found[zygote.pid] >= _PATIENCE and self._search is None:
                self._search = self._loop.create_task(self._find(zygote), name=f"who stops {zygote.pid}")
                self._search.add_done_callback(self._searched)
        if zygotes:
            self._timer = self._loop.call_later(_SOON if stopped else _INTERVAL, self._look)

    def _searched(self, search: "asyncio.Task[None]") -> None:
        self._search = None
        self._found.clear()
        if not search.cancelled() and (error := search.exception()) is not None:
            log.error("whoever stops a zygote was not found", exc_info=error)

    async def _find(self, zygote: Zygote) -> None:
        suspects = dict(zygote.workers)
        try:
            signal_trees(suspects.values(), signal.SIGSTOP)
            if await self._is_stopped_again(zygote):
                log.warning("zygote %d is stopped by none of its workers; it is ended", zygote.pid)
                kill_tree(zygote.pid)
            else:
                await self._try(zygote, suspects, list(suspects))
        finally:
            signal_trees(suspects.values(), signal.SIGCONT)

    async def _try(self, zygote: Zygote, pids: Mapping[AttemptKey, int], suspects: Sequence[AttemptKey]) -> None:
        """Let some go on that are stopped: they stay so if one of them does it again."""
        group = [pids[key] for key in suspects]
        signal_trees(group, signal.SIGCONT)
        await asyncio.sleep(_SOON)
        if not is_stopped(zygote.pid):
            return
        signal_trees(group, signal.SIGSTOP)
        if await self._is_stopped_again(zygote):
            # By somebody who was forked meanwhile; the next search will have them among its suspects.
            return
        if len(suspects) == 1:
            log.warning("attempt %d (process %d) stops its zygote again and again", suspects[0], group[0])
            self._blame(suspects[0], _GUILTY)
            return
        half = len(suspects) // 2
        await self._try(zygote, pids, suspects[:half])
        await self._try(zygote, pids, suspects[half:])

    @staticmethod
    async def _is_stopped_again(zygote: Zygote) -> bool:
        zygote.wake()
        await asyncio.sleep(_SOON)
        return is_stopped(zygote.pid)
