"""Progress as plain lines, for logs and pipes: fewer the longer a run takes, and one for each of the first failures."""

import time
from collections.abc import Callable, Sequence
from typing import TextIO

from volant.client.tally import Tally
from volant.model.phases import ActionPhase
from volant.model.records import Change, ChangeKind, RunRecord
from volant.model.worker_protocol import Outcome

_MOST_FAILURES = 20
_PACE = 1.0
"""Seconds between the first two lines of counts."""
_SLOWER = 1.25
_SLOWEST = 60.0


class Lines:
    """Writes to *stream*; *clock* gives seconds. Whatever becomes of the stream, the run is watched to its end."""

    def __init__(
        self, stream: TextIO, *, clock: Callable[[], float] = time.monotonic, has_progress: bool = True
    ) -> None:
        """*has_progress*: False leaves only what attempts write."""
        self._stream: TextIO | None = stream
        self._clock = clock
        self._has_progress = has_progress
        self._pace = _PACE
        self._tally = Tally()
        self._failures = 0
        self._last = clock()
        self._last_summary: str = ""

    def accepted(self, run: RunRecord) -> None:
        """Say the name."""
        self._say(f"run {run.run}: {run.task}")

    def changed(self, changes: Sequence[Change]) -> None:
        """Say what failed, and how it stands when a second has passed."""
        self._tally.take(changes)
        for change in changes:
            self._say_failure(change)
            if change.kind is ChangeKind.WARNING:
                self._say(f"warning: {change.message}")
        now = self._clock()
        summary: str = self._tally.summary()
        if (
            now - self._last >= self._pace
            and summary != self._last_summary
            and self._tally.phase is ActionPhase.RUNNING
        ):
            self._last, self._last_summary = now, summary
            self._pace = min(_SLOWEST, self._pace * _SLOWER)
            self._say(summary)

    def ended(self, run: RunRecord, outcome: Outcome | None) -> None:
        """Say how it ended."""
        self._tally.close(run.phase)
        took = f" in {format_seconds((run.ended_at - run.created_at).total_seconds())}" if run.ended_at else ""
        self._say(f"run {run.run} {run.phase.value}{took} ({self._tally.summary()})")

    def notice(self, message: str) -> None:
        """Say it."""
        self._say(message)

    def written(self, lines: Sequence[str]) -> None:
        """Write them."""
        self._write("".join(f"{line}\n" for line in lines))

    def close(self) -> None:
        """Nothing is held."""

    def _say_failure(self, change: Change) -> None:
        line = failure_line(change)
        # What fails the run itself is shown when it has ended, with its traceback.
        if line is None or (change.parent is None and change.kind is ChangeKind.ACTION_ENDED):
            return
        self._failures += 1
        if self._failures <= _MOST_FAILURES:
            self._say(line)
        elif self._failures == _MOST_FAILURES + 1:
            self._say("further failures are counted only")

    def _say(self, line: str) -> None:
        if self._has_progress:
            self._write(f"{line}\n")

    def _write(self, text: str) -> None:
        if self._stream is None:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            # Nobody reads it any more.
            self._stream = None


def failure_line(change: Change) -> str | None:
    """What a change says about a failure; None for all other changes."""
    attempt = f"attempt {change.attempt + 1}" if change.attempt is not None else "attempt"
    if change.kind is ChangeKind.ATTEMPT_ENDED and change.phase not in {ActionPhase.SUCCEEDED, ActionPhase.PAUSED}:
        return f"{change.name}: {attempt} failed, trying again: {change.message}"
    if change.kind is ChangeKind.ACTION_ENDED and change.phase in {ActionPhase.FAILED, ActionPhase.TIMED_OUT}:
        word = "failed" if change.phase is ActionPhase.FAILED else "timed out"
        return f"{change.name}: {word}: {change.message}"
    return None


def format_seconds(seconds: float) -> str:
    """A duration for people."""
    seconds = max(0.0, seconds)
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"
