"""Files that are there whole or not at all."""

import os
from pathlib import Path

from volant.model.errors import JournalError


def part_of(target: Path) -> Path:
    """Where to write what will be *target*; nothing is there.

    Raises:
        JournalError: *target* is there already, or cannot be.
    """
    if target.exists():
        raise JournalError(f"{target} is there already and was not written over")
    if not target.parent.is_dir():
        raise JournalError(f"{target} cannot be written: there is no folder {target.parent}")
    part = target.with_name(f".{target.name}.part")
    part.unlink(missing_ok=True)
    return part


def finish(part: Path, target: Path) -> None:
    """Give what was written its name, durably.

    Raises:
        OSError: it has not got it.
    """
    with part.open("rb") as file:
        os.fsync(file.fileno())
    # Unlike renaming, this does not write over what has come there meanwhile.
    os.link(part, target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
