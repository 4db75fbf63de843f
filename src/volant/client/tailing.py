"""What the attempts of a run write, read from the files that capture it while they write it."""

import asyncio
import os
import re
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from volant.client.reporting import Reporter
from volant.model.ids import ActionId, RunId
from volant.model.records import Change, ChangeKind, RunRecord
from volant.model.worker_protocol import Outcome

_PACE = 0.1
"""Seconds between two looks."""
_BLOCK = 1 << 18
"""Bytes of one file that are read in one look."""
_FILES = 500
"""So many files of ended attempts are read in one look; there may be thousands of them at once."""
_COLOURS = (36, 35, 34, 33, 32, 31)
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_CONTROL = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[@-Z\\^_]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|[\x00-\x08\x0b-\x1f\x7f]"
)


class Tail:
    """Follows the output of a run's attempts, as its changes tell of them. No file stays open."""

    def __init__(self, folder: Path, *, colour: bool = False) -> None:
        """*folder* has what the run's attempts write; *colour* says that the lines go to a terminal."""
        self._folder = folder
        self._colour = colour
        self._live: dict[ActionId, _Captured] = {}
        self._ended: deque[_Captured] = deque()

    def take(self, changes: Sequence[Change]) -> None:
        """Attempts have started and ended."""
        for change in changes:
            if change.action is None:
                continue
            if change.kind is ChangeKind.ATTEMPT_STARTED:
                number = change.attempt or 0
                path = self._folder / f"{change.action}-{number}.log"
                self._live[change.action] = _Captured(path, self._prefix(change, number))
            elif change.kind in (ChangeKind.ATTEMPT_ENDED, ChangeKind.ACTION_ENDED):
                captured = self._live.pop(change.action, None)
                if captured is not None:
                    self._ended.append(captured)

    def read(self) -> list[str]:
        """Whole lines that were written since the last time, those of one attempt together."""
        found: list[str] = []
        for captured in self._live.values():
            self._read(captured, found)
        for _ in range(min(_FILES, len(self._ended))):
            captured = self._ended.popleft()
            if self._read(captured, found):
                self._ended.append(captured)
            else:
                self._show(captured, captured.rest(), found)
        return found

    def read_all(self) -> list[str]:
        """All that is left, when nobody writes any more."""
        self._ended.extend(self._live.values())
        self._live.clear()
        found: list[str] = []
        while self._ended:
            found += self.read()
        return found

    def _read(self, captured: "_Captured", found: list[str]) -> bool:
        lines, is_more = captured.read()
        self._show(captured, lines, found)
        return is_more

    def _show(self, captured: "_Captured", lines: Sequence[bytes], found: list[str]) -> None:
        found += [f"{captured.prefix} {self._plain(line.decode(errors='replace'))}" for line in lines]

    def _prefix(self, change: Change, number: int) -> str:
        action = (change.action or "")[:6]
        text = f"{change.name} {action}" + (f" attempt {number + 1}" if number else "")
        if not self._colour:
            return f"{text} |"
        return f"\x1b[{_COLOURS[int(action or '0', 16) % len(_COLOURS)]}m{text} │\x1b[0m"

    def _plain(self, line: str) -> str:
        """Without what would move the cursor; of a line that was written over, what it was in the end."""
        line = line.rstrip("\r").rpartition("\r")[2]
        if not self._colour:
            return _CONTROL.sub("", line)
        parts = _COLOUR.split(line)
        if len(parts) == 1:
            return _CONTROL.sub("", line)
        colours = [*_COLOUR.findall(line), "\x1b[0m"]
        return "".join(_CONTROL.sub("", part) + colour for part, colour in zip(parts, colours, strict=True))


class _Captured:
    """The output of one attempt."""

    __slots__ = ("_at", "_begun", "_path", "prefix")

    def __init__(self, path: Path, prefix: str) -> None:
        self._path = path
        self._at = 0
        self._begun = b""
        self.prefix = prefix

    def read(self) -> tuple[list[bytes], bool]:
        """Lines that have an end, and whether there is more to read at once."""
        try:
            if os.stat(self._path).st_size <= self._at:
                return [], False
            with open(self._path, "rb") as opened:
                opened.seek(self._at)
                data = opened.read(_BLOCK)
        except OSError:
            return [], False
        self._at += len(data)
        *lines, self._begun = (self._begun + data).split(b"\n")
        if len(self._begun) > _BLOCK:
            lines.append(self._begun)
            self._begun = b""
        return lines, len(data) == _BLOCK

    def rest(self) -> list[bytes]:
        """The last line, if it has no end."""
        begun, self._begun = self._begun, b""
        return [begun] if begun else []


class Following:
    """A reporter that also shows what the attempts of the run write."""

    def __init__(self, reporter: Reporter, folder_of: Callable[[RunId], Path], *, colour: bool) -> None:
        self._reporter = reporter
        self._folder_of = folder_of
        self._colour = colour
        self._tail: Tail | None = None
        self._timer: asyncio.TimerHandle | None = None

    def accepted(self, run: RunRecord) -> None:
        """Begin to look."""
        self._tail = Tail(self._folder_of(run.run), colour=self._colour)
        self._reporter.accepted(run)
        self._timer = asyncio.get_running_loop().call_later(_PACE, self._look)

    def changed(self, changes: Sequence[Change]) -> None:
        """Learn of attempts."""
        if self._tail is not None:
            self._tail.take(changes)
        self._reporter.changed(changes)

    def ended(self, run: RunRecord, outcome: Outcome | None) -> None:
        """Show what is left before it is said how the run ended."""
        if self._tail is not None:
            self._write(self._tail.read_all())
        self._reporter.ended(run, outcome)

    def notice(self, message: str) -> None:
        """As the reporter says it."""
        self._reporter.notice(message)

    def written(self, lines: Sequence[str]) -> None:
        """As the reporter shows it."""
        self._reporter.written(lines)

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._reporter.close()

    def _look(self) -> None:
        if self._tail is not None:
            self._write(self._tail.read())
        self._timer = asyncio.get_running_loop().call_later(_PACE, self._look)

    def _write(self, lines: Sequence[str]) -> None:
        if lines:
            self._reporter.written(lines)
