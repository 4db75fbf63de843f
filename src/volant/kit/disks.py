"""Whether a disk has room: asked when something failed that a full disk would explain."""

import os
from pathlib import Path

_ALMOST_NOTHING = 64 * 1024
"""Bytes; a journal grows by more at once."""


def is_disk_full(folder: Path) -> bool:
    """Whether next to nothing can be written where *folder* is."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return False
    return found.f_bavail * found.f_frsize < _ALMOST_NOTHING
