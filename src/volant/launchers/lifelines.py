"""Whether processes of an engine's life are still there, for the engine that comes after it.

Each engine has a file of its own, which is locked (shared) by every zygote and every fork of one: the lock goes with
the open file, which forks inherit, and ends with the last of them, whoever is killed and however. When the file can
be locked exclusively, nothing is left that could still execute an attempt.

The file also names the zygotes. Those that outlive their engine come to the next one; when each of them has, or is gone
with all it had forked, an earlier life is settled: what is still there of it is known.
"""

import asyncio
import contextlib
import fcntl
import os
import signal
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from volant.kit.processes import kill_tree
from volant.launchers.strays import end_strays
from volant.model.errors import EngineError

_POLL = 0.01
"""Seconds between the first two looks; doubled with each one."""
_LONGEST_POLL = 0.1
_WAKING = 0.3
"""Seconds after which a zygote is woken that has not come; one of its forks may have stopped it."""
_PATIENCE = 3.0
"""Seconds in which zygotes come or end themselves when their engine is gone; then they are killed."""
_KILLING = 10.0
"""Seconds after which who does not die is named in an error."""
_MARK = "volant.wiring.zygote"
"""In the command line of zygotes and their forks, so that a process that has the number of one is left alone."""


class Lifelines:
    """The files of one home's engines, one per life."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def of(self, engine: str) -> "Lifeline":
        """The file of the engine of this name."""
        return Lifeline(self.folder / f"{engine}.lock")

    async def until_settled(self, *, but: str, returned: Callable[[], Collection[int]]) -> None:
        """Return when every process of all lives *but* one has come here or is gone; kill what does neither.

        *returned* gives the zygotes that came.

        Raises:
            EngineError: something is left and does not die.
        """
        paths = [path for path in self.folder.glob("*.lock") if path.stem != but]
        await asyncio.gather(*(self._until_settled(path, returned) for path in paths))

    async def _until_settled(self, path: Path, returned: Callable[[], Collection[int]]) -> None:
        loop = asyncio.get_running_loop()
        wake_at = loop.time() + _WAKING
        kill_at = loop.time() + _PATIENCE
        until = kill_at + _KILLING
        pause = _POLL
        while not _is_free(path):
            now = loop.time()
            zygotes = _zygotes(path)
            missing = [pid for pid in zygotes if pid not in returned()]
            if zygotes and not missing:
                return
            if now > until:
                pids = ", ".join(map(str, missing))
                msg = f"processes of the engine '{path.stem}', which is gone, still execute attempts (zygotes: {pids})"
                raise EngineError(msg, hint="kill them, and try again")
            if now > kill_at:
                for pid in missing:
                    kill_tree(pid)
            elif now > wake_at:
                for pid in missing:
                    _wake(pid)
                if not zygotes:
                    # The kernel ended its forks with it; what those had forked is nobody's.
                    await end_strays(labels=(), lifelines=[path], spared=tuple(returned()))
            await asyncio.sleep(pause)
            pause = min(_LONGEST_POLL, pause * 2)
        _remove(path)

    def sweep(self) -> None:
        """Remove the files of lives of which nothing is left."""
        for path in self.folder.glob("*.lock"):
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

    def is_noted(self, zygote: int) -> bool:
        """Whether an engine of this home, of whatever life, has started this zygote."""
        return any(zygote in _zygotes(path) for path in self._path.parent.glob("*.lock"))

    async def end_strays(self, labels: Sequence[str], *, spared: Collection[int]) -> bool:
        """Kill what a zygote of an earlier life has left behind: processes with these labels, or with the file of that
        life open, outside the trees of *spared*; whether nothing is left."""
        earlier = [path for path in self._path.parent.glob("*.lock") if path != self._path]
        return await end_strays(labels=labels, lifelines=earlier, spared=tuple(spared))

    @staticmethod
    def note(descriptor: int, zygote: int) -> None:
        """Write down the process id of a zygote that has *descriptor*."""
        os.write(descriptor, f"{zygote}\n".encode())


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


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


def _wake(pid: int) -> None:
    with contextlib.suppress(OSError):
        os.kill(pid, signal.SIGCONT)


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
