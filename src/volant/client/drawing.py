"""Progress drawn on a terminal while a run gets on."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TextIO

from volant.client.canvas import Canvas
from volant.client.cells import Piece, fitted, folded, painted
from volant.client.frames import Frames
from volant.client.lines import failure_line
from volant.client.tally import Tally
from volant.model.records import Change, ChangeKind, RunRecord
from volant.model.worker_protocol import Outcome
from volant.settings.terminal import rewraps_lines

_MOST_FAILURES = 10
_FIRST = 0.15
"""Seconds before the first drawing: a run that has ended by then is drawn once, at its end."""
_FRAME = 0.1
"""Seconds between two drawings while things change."""
_PULSE = 3
"""Every so many frames are drawn though nothing changed, since time passes."""


class Drawing:
    """Draws on *stream*, a terminal, from the loop that watches the run; it has no thread of its own.

    What a frame costs depends on how many tasks there are, not on how many actions have ended.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        on_close: Callable[[], None] = lambda: None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._on_close = on_close
        self._canvas = Canvas(stream, rewraps=rewraps_lines())
        self._frames = Frames(is_ascii=not self._canvas.can_encode)
        self._now = now
        self._tally = Tally()
        self._failures = 0
        self._run: RunRecord | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._above: list[str] = []
        self._is_drawn = False
        self._is_new = True
        self._still = 0

    def accepted(self, run: RunRecord) -> None:
        """Begin to draw, unless it ends at once."""
        self._run = run
        self._begin()

    def changed(self, changes: Sequence[Change]) -> None:
        """Take it in; the next frame shows it."""
        self._begin()
        self._tally.take(changes)
        self._is_new = True
        for change in changes:
            self._tell_failure(change)
            if change.kind is ChangeKind.WARNING:
                self._warn(change.message)

    def ended(self, run: RunRecord, outcome: Outcome | None) -> None:
        """Take in how it ended; the last frame shows it."""
        self._tally.close(run.phase)
        self._run = run

    def notice(self, message: str) -> None:
        """Print it above the drawing."""
        self._above += [painted([Piece(line, "yellow")]) for line in folded(message, self._width)]
        self._draw_or_print()

    def written(self, lines: Sequence[str]) -> None:
        """Print them above the drawing."""
        self._above += lines
        self._draw_or_print()

    def close(self) -> None:
        """Leave the last frame on the screen."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._draw()
        elif self._above:
            self._canvas.print(self._above)
            self._above = []
        self._canvas.close()
        self._on_close()

    def _begin(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_FIRST, self._tick)

    def _tick(self) -> None:
        self._still += 1
        if self._is_new or self._above or self._still >= _PULSE:
            self._draw()
        self._timer = asyncio.get_running_loop().call_later(_FRAME, self._tick)

    def _draw_or_print(self) -> None:
        if self._is_drawn:
            self._draw()
        else:
            self._canvas.print(self._above)
            self._above = []

    def _draw(self) -> None:
        size = self._canvas.size
        frame = self._frames.frame(self._tally, self._run, self._now(), columns=size.columns, lines=size.lines)
        self._canvas.draw(frame, self._above)
        self._above = []
        self._is_drawn = True
        self._is_new = False
        self._still = 0

    @property
    def _width(self) -> int:
        """Cells of a line that stays."""
        return max(1, self._canvas.size.columns - 1)

    def _warn(self, message: str) -> None:
        head = "warning:"
        first, *more = folded(f" {message}", self._width, head=len(head))
        self._above += [painted([Piece(head, "yellow"), Piece(first)]), *more]

    def _tell_failure(self, change: Change) -> None:
        line = failure_line(change)
        # What fails the run itself is shown when it has ended, with its traceback.
        if line is None or (change.parent is None and change.kind is ChangeKind.ACTION_ENDED):
            return
        self._failures += 1
        if self._failures <= _MOST_FAILURES:
            # What is tried again has not failed yet.
            style = "yellow" if change.kind is ChangeKind.ATTEMPT_ENDED else "red"
            self._above.append(painted(fitted([Piece(line, style)], self._width)))
        elif self._failures == _MOST_FAILURES + 1:
            self._above.append(painted([Piece("further failures are counted only", "red")]))
