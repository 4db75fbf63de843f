"""Being the one engine of a home: a file lock that its owner's death releases."""

import fcntl
import json
import os
from datetime import datetime
from pathlib import Path


class HomeLock:
    """An exclusive lock on a home, held until the process ends or `release` is called."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def acquire(cls, path: Path, *, started_at: datetime) -> "HomeLock | None":
        """Take the lock and write into the file who has it; None when another process has it."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        os.ftruncate(descriptor, 0)
        owner = {"pid": os.getpid(), "boot": _boot_id(), "started_at": started_at.isoformat()}
        os.write(descriptor, json.dumps(owner).encode())
        return cls(descriptor)

    def release(self) -> None:
        """Let another engine have the home."""
        os.close(self._descriptor)


def _boot_id() -> str:
    """What tells this boot of the machine from the next; empty where the system does not say."""
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text().strip() if path.exists() else ""
