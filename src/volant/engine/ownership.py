"""Being the one engine of a home: a file lock that its owner's death releases."""

import contextlib
import fcntl
import json
import os
from datetime import datetime
from pathlib import Path

_REMEMBERED = 100
"""Names of engines that were here before; a lease of an older one has long run out."""


class HomeLock:
    """An exclusive lock on a home, held until the process ends or `release` is called."""

    def __init__(self, descriptor: int, *, started_at: datetime) -> None:
        self._descriptor = descriptor
        self._started_at = started_at
        self.before = _names(descriptor)
        """Engines that had this lock before, and are therefore dead; newest last."""
        self._write(self.before)

    @classmethod
    def acquire(cls, path: Path, *, started_at: datetime) -> "HomeLock | None":
        """Take the lock and write into the file who has it; None when another process has it."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return cls(descriptor, started_at=started_at)

    def note(self, engine: str) -> None:
        """Write down under which name this process is an engine, for those who have the lock after it."""
        self._write((*self.before, engine))

    def release(self) -> None:
        """Let another engine have the home."""
        os.close(self._descriptor)

    def _write(self, engines: tuple[str, ...]) -> None:
        owner = {
            "pid": os.getpid(),
            "boot": _boot_id(),
            "started_at": self._started_at.isoformat(),
            "file": _identity(self._descriptor),
            "engines": engines[-_REMEMBERED:],
        }
        text = json.dumps(owner).encode()
        os.pwrite(self._descriptor, text, 0)
        os.ftruncate(self._descriptor, len(text))


def _names(descriptor: int) -> tuple[str, ...]:
    """The engines that the file names, if they must be dead: those of a copied home, or of another machine that has the
    same folder and does not share its locks, may be alive."""
    with contextlib.suppress(ValueError, TypeError, KeyError):
        found = json.loads(os.pread(descriptor, 64 * 1024, 0))
        if found["file"] == _identity(descriptor) and found["boot"] == _boot_id():
            return tuple(map(str, found["engines"]))
    return ()


def _identity(descriptor: int) -> list[int]:
    status = os.fstat(descriptor)
    return [status.st_dev, status.st_ino]


def _boot_id() -> str:
    """What tells this boot of the machine from the next; empty where the system does not say."""
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text().strip() if path.exists() else ""
