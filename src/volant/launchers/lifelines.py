"""Whether processes of an engine's life are still there, for the engine that comes after it.

Each engine has a file of its own, which is locked (shared) by every zygote and every fork of one: the lock goes with
the open file, which forks inherit, and ends with the last of them, whoever is killed and however. When the file can
be locked exclusively, nothing is left that could still execute an attempt.
"""

import asyncio
import contextlib
import fcntl
import os
from pathlib import Path

from volant.kit.processes import kill_tree
from volant.model.errors import EngineError

_POLL = 0.01
"""Seconds between the first two looks; doubled with each one."""
_LONGEST_POLL = 0.1
_PATIENCE = 3.0
"""Seconds in which zygotes end themselves when their engine is gone; then they are killed."""
_KILLING = 10.0
"""Seconds after which who does not die is named in an error."""
_MARK = "volant.wiring.zygote"
"""In the command line of zygotes and their forks, so that a process that has the number of one is left alone."""


class Lifelines:
    """The files of one home's engines, one per life."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def of(self, engine: str) -> "Lifeline":
        """The file of the engine of this name."""
        return Lifeline(self._folder / f"{engine}.lock")

    async def until_gone(self, engine: str) -> None:
        """Return when no process is left of what the engine of this name had started; kill what does not go by itself.

        Raises:
            EngineError: something is left and does not die.
        """
        path = self._folder / f"{engine}.lock"
        loop = asyncio.get_running_loop()
        kill_at = loop.time() + _PATIENCE
        until = kill_at + _KILLING
        pause = _POLL
        while not _is_free(path):
            now = loop.time()
            if now > until:
                pids = ", ".join(map(str, _zygotes(path)))
                msg = f"processes of the engine '{engine}', which is gone, still execute attempts (zygotes: {pids})"
                raise EngineError(msg, hint="kill them, and try again")
            if now > kill_at:
                for pid in _zygotes(path):
                    kill_tree(pid)
            await asyncio.sleep(pause)
            pause = min(_LONGEST_POLL, pause * 2)
        path.unlink(missing_ok=True)

    def sweep(self) -> None:
        """Remove the files of lives of which nothing is left."""
        for path in self._folder.glob("*.lock"):
            if _is_free(path):
                path.unlink(missing_ok=True)


class Lifeline:
    """The file of one engine's life."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def open(self) -> int:
        """A descriptor that holds the lock for as long as any process has it open; the caller closes its own.

        Raises:
            OSError: there is none.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        return descriptor

    @staticmethod
    def note(descriptor: int, zygote: int) -> None:
        """Write down the process id of a zygote that has *descriptor*."""
        os.write(descriptor, f"{zygote}\n".encode())


def _is_free(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def _zygotes(path: Path) -> list[int]:
    with contextlib.suppress(OSError, ValueError):
        return [pid for pid in map(int, path.read_text().split()) if _is_zygote(pid)]
    return []


def _is_zygote(pid: int) -> bool:
    # Only what a dead engine left behind asks for it, and every engine would import it.
    import psutil

    try:
        return any(_MARK in argument for argument in psutil.Process(pid).cmdline())
    except psutil.Error:
        return False
