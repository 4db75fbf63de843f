"""What attempts wrote: read from where the engine captured it, whatever became of the files since."""

import os
from collections.abc import Iterator
from pathlib import Path

from volant.kit.homes import logs_path
from volant.model.control_protocol import ActionDetails
from volant.model.ids import ActionId, RunId

_BLOCK = 1 << 18
"""Bytes of a file that are read at once."""


def read_log(home: Path, details: ActionDetails, attempt: int | None) -> str:
    """What an attempt wrote, the newest one by default; empty when it wrote nothing or has not begun."""
    for record in sorted(details.attempts, key=lambda each: each.attempt, reverse=True):
        if record.log is None or (attempt is not None and record.attempt != attempt):
            continue
        path = log_file(home, details.action.run, details.action.action, record.attempt)
        try:
            return path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
    return ""


def log_file(home: Path, run: RunId, action: ActionId, attempt: int) -> Path:
    """Where an attempt's output is captured; it need not be there."""
    return logs_path(home) / run / f"{action}-{attempt}.log"


def captured(home: Path, run: RunId) -> dict[ActionId, list[int]]:
    """The attempts of a run whose output is there, by action, in the order of their numbers."""
    found: dict[ActionId, list[int]] = {}
    try:
        names = os.listdir(logs_path(home) / run)
    except OSError:
        return found
    for name in names:
        action, _, number = name.removesuffix(".log").rpartition("-")
        if name.endswith(".log") and action and number.isdecimal():
            found.setdefault(ActionId(action), []).append(int(number))
    for numbers in found.values():
        numbers.sort()
    return found


def lines_of(path: Path, *, tail: int | None = None) -> Iterator[str]:
    """The lines of a file, or only the last ones; none when it is gone."""
    try:
        with path.open("rb") as opened:
            if tail is not None:
                opened.seek(_start_of_tail(opened.fileno(), tail))
            for line in opened:
                yield line.decode("utf-8", "replace").rstrip("\r\n")
    except OSError:
        return


def _start_of_tail(fd: int, lines: int) -> int:
    """Where the last *lines* of a file begin, found from its end."""
    at = os.fstat(fd).st_size
    # What ends the last line begins no other.
    missing = lines + 1 if at and os.pread(fd, 1, at - 1) == b"\n" else lines
    if lines == 0:
        return at
    while at > 0:
        start = max(0, at - _BLOCK)
        block = os.pread(fd, at - start, start)
        count = block.count(b"\n")
        if count >= missing:
            for _ in range(missing):
                end = block.rfind(b"\n")
                block = block[:end]
            return start + len(block) + 1
        missing -= count
        at = start
    return 0


class Tail:
    """Follows a file that grows; one that was truncated is read from its beginning, one that is gone is waited for.

    The file is not kept open, and no more than a block of it is read at once.
    """

    __slots__ = ("_at", "_rest", "has_more", "path")

    def __init__(self, path: Path, *, at: int = 0) -> None:
        self.path = path
        self._at = at
        self._rest = b""
        self.has_more = False
        """Whether the last look left something to be read."""

    @classmethod
    def last(cls, path: Path, lines: int) -> "Tail":
        """Begin with the last lines of what is there now."""
        try:
            with path.open("rb") as opened:
                return cls(path, at=_start_of_tail(opened.fileno(), lines))
        except OSError:
            return cls(path)

    def read(self, *, to_end: bool = False) -> list[str]:
        """Whole lines that were written since; with *to_end* also one that has no end, if it is the last one."""
        data = self._block()
        *lines, self._rest = (self._rest + data).split(b"\n")
        if self._rest and ((to_end and not self.has_more) or len(self._rest) > _BLOCK):
            lines.append(self._rest)
            self._rest = b""
        return [line.decode("utf-8", "replace").rstrip("\r") for line in lines]

    def _block(self) -> bytes:
        try:
            size = os.stat(self.path).st_size
            if size < self._at:
                self._at, self._rest = 0, b""
            # Most looks find nothing new: they shall not open anything.
            data = _read(self.path, self._at) if size > self._at else b""
        except OSError:
            data = b""
        self._at += len(data)
        self.has_more = len(data) == _BLOCK
        return data


def _read(path: Path, at: int) -> bytes:
    with path.open("rb") as opened:
        opened.seek(at)
        return opened.read(_BLOCK)
