"""Ending what a dead zygote left behind.

A zygote ends the processes of its workers itself. When it is killed, they become children of this process, which is a
subreaper (Linux); so does whatever they had started, one after another as their parents die. All children of this
process that are not zygotes are such orphans: they are killed and waited for until none is left.
"""

import asyncio
import os
from collections.abc import Callable, Collection

from volant.kit.processes import children, signal_trees

_PAUSE = 0.002
"""Seconds between the first two looks; doubled with each one."""
_LONGEST_PAUSE = 0.1
_PATIENCE = 10.0
"""Seconds after which a process that does not die (it is in the kernel's hands) is no longer waited for."""


class Orphans:
    """Children of this process that nobody answers for."""

    def __init__(self, zygotes: Callable[[], Collection[int]]) -> None:
        """*zygotes*: the processes that this launcher started and has not waited for.

        What else is a child of this process now is somebody else's and is left alone.
        """
        self._zygotes = zygotes
        self._others = frozenset(children(os.getpid()))

    async def end(self) -> bool:
        """Kill them all and wait until none is left; whether that came true."""
        loop = asyncio.get_running_loop()
        until = loop.time() + _PATIENCE
        pause = _PAUSE
        while left := self._find():
            if loop.time() > until:
                return False
            signal_trees(left)
            await asyncio.sleep(pause)
            pause = min(_LONGEST_PAUSE, pause * 2)
            for pid in left:
                _wait_for(pid)
        return True

    def _find(self) -> list[int]:
        known = self._others.union(self._zygotes())
        return [pid for pid in children(os.getpid()) if pid not in known]


def _wait_for(pid: int) -> None:
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        # It was not an orphan for long: somebody waited for it.
        return
