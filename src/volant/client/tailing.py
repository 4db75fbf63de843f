"""What the attempts of a run write, read from the files that capture it while they write it."""

from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from volant.client.logs import Tail, log_file
from volant.client.writers import Writer
from volant.model.ids import ActionId, RunId
from volant.model.records import Change, ChangeKind

_FILES = 500
"""So many files of ended attempts are looked at at once; there may be thousands of them."""
_AFTERWARDS = 3
"""So many looks are taken at a file after its attempt has ended: its process may have something left to say."""
_LONG_AGO = timedelta(seconds=5)
"""An attempt that ended before that has nothing left to say."""

Lines = list[tuple[Writer, list[str]]]
"""What was written, by writer."""


class _File:
    __slots__ = ("looks_left", "tail", "writer")

    def __init__(self, writer: Writer, tail: Tail) -> None:
        self.writer = writer
        self.tail = tail
        self.looks_left = _AFTERWARDS


class RunTail:
    """Follows the output of a run's attempts, as its changes tell of them."""

    def __init__(
        self,
        home: Path,
        run: RunId,
        *,
        action: ActionId | None = None,
        attempt: int | None = None,
        last: int | None = None,
    ) -> None:
        """*action* and *attempt* leave out all others; of what was written before only the *last* lines are given."""
        self._home = home
        self._run = run
        self._action = action
        self._attempt = attempt
        self._last = last
        self._live: dict[ActionId, _File] = {}
        self._ended: deque[_File] = deque()

    def take(self, changes: Sequence[Change], *, now: datetime | None = None) -> None:
        """Attempts have started and ended."""
        now = now or datetime.now(UTC)
        for change in changes:
            if change.action is None or self._action not in (None, change.action):
                continue
            if change.kind is ChangeKind.ATTEMPT_STARTED:
                self._begin(change.action, change.name, change.attempt or 0)
            elif change.kind in (ChangeKind.ATTEMPT_ENDED, ChangeKind.ACTION_ENDED):
                self._end(change.action, is_long_ago=now - change.at > _LONG_AGO)

    def read(self) -> Lines:
        """Whole lines that were written since the last time, those of one attempt together."""
        found = [(file.writer, lines) for file in self._live.values() if (lines := file.tail.read())]
        for _ in range(min(_FILES, len(self._ended))):
            file = self._ended.popleft()
            file.looks_left -= 1
            lines = file.tail.read(to_end=file.looks_left <= 0)
            if file.looks_left > 0 or file.tail.has_more:
                self._ended.append(file)
            if lines:
                found.append((file.writer, lines))
        return found

    def read_all(self) -> Lines:
        """All that is left, when nobody writes any more."""
        self._ended.extend(self._live.values())
        self._live.clear()
        for file in self._ended:
            file.looks_left = 1
        found: Lines = []
        while self._ended:
            found += self.read()
        return found

    def _begin(self, action: ActionId, name: str, attempt: int) -> None:
        # A worker that was lost has no end of its own.
        self._end(action, is_long_ago=False)
        if self._attempt not in (None, attempt):
            return
        path = log_file(self._home, self._run, action, attempt)
        tail = Tail(path) if self._last is None else Tail.last(path, self._last)
        self._live[action] = _File(Writer(action, name, attempt), tail)

    def _end(self, action: ActionId, *, is_long_ago: bool) -> None:
        file = self._live.pop(action, None)
        if file is not None:
            file.looks_left = 1 if is_long_ago else _AFTERWARDS
            self._ended.append(file)
