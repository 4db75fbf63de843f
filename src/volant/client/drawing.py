"""Progress drawn on a terminal: a tree of tasks that stays small however many actions there are."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TextIO

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from volant.client.lines import failure_line, format_seconds
from volant.client.tally import Row, Tally
from volant.model.phases import ActionPhase
from volant.model.records import Change, ChangeKind, RunRecord
from volant.model.worker_protocol import Outcome

_MOST_ROWS = 24
_MOST_FAILURES = 10
_FRAME = 0.1
"""Seconds between two drawings."""
_BAR = 16
_SIGNS = {
    ActionPhase.QUEUED: ("·", "dim"),
    ActionPhase.WAITING_FOR_RESOURCES: ("·", "dim"),
    ActionPhase.INITIALIZING: ("▸", "cyan"),
    ActionPhase.RUNNING: ("▸", "cyan"),
    ActionPhase.PAUSED: ("⏸", "yellow"),
    ActionPhase.SUCCEEDED: ("✓", "green"),
    ActionPhase.FAILED: ("✗", "red"),
    ActionPhase.TIMED_OUT: ("✗", "red"),
    ActionPhase.ABORTED: ("■", "yellow"),
}
_BY_WEIGHT = (
    ActionPhase.RUNNING,
    ActionPhase.INITIALIZING,
    ActionPhase.PAUSED,
    ActionPhase.WAITING_FOR_RESOURCES,
    ActionPhase.QUEUED,
    ActionPhase.FAILED,
    ActionPhase.TIMED_OUT,
    ActionPhase.ABORTED,
    ActionPhase.SUCCEEDED,
)


class Drawing:
    """Draws on *stream*, a terminal, from the loop that watches the run; it has no thread of its own."""

    def __init__(
        self,
        stream: TextIO,
        *,
        on_close: Callable[[], None] = lambda: None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._on_close = on_close
        self._console = Console(file=stream, highlight=False)
        self._now = now
        self._tally = Tally()
        self._failures = 0
        self._run: RunRecord | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._live = Live(
            self,
            console=self._console,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
            vertical_overflow="crop",
        )

    def accepted(self, run: RunRecord) -> None:
        """Begin to draw."""
        self._run = run
        self._live.start()
        self._tick()

    def changed(self, changes: Sequence[Change]) -> None:
        """Take it in; the next frame shows it."""
        if self._timer is None:
            self._live.start()
            self._tick()
        self._tally.take(changes)
        for change in changes:
            self._print_failure(change)
            if change.kind is ChangeKind.WARNING:
                self._console.print(f"[yellow]warning:[/] {escape(change.message)}")

    def ended(self, run: RunRecord, outcome: Outcome | None) -> None:
        """Take in how it ended; the last frame shows it."""
        self._tally.close(run.phase)
        self._run = run

    def notice(self, message: str) -> None:
        """Print it above the drawing."""
        self._console.print(escape(message), style="yellow")

    def close(self) -> None:
        """Leave the last frame on the screen."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._live.refresh()
            self._live.stop()
        self._on_close()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self._header()
        rows = list(self._tally.rows())
        if self._tally.total > 1:
            room = max(3, min(_MOST_ROWS, (options.height or console.height) - 4))
            table = Table.grid(padding=(0, 2, 0, 0))
            for _ in range(4):
                table.add_column(no_wrap=True, overflow="ellipsis")
            for row in rows[:room]:
                table.add_row(*self._cells(row))
            yield table
            if len(rows) > room:
                yield Text(f"  … and {len(rows) - room} more", style="dim")

    def _tick(self) -> None:
        self._live.refresh()
        self._timer = asyncio.get_running_loop().call_later(_FRAME, self._tick)

    def _header(self) -> Text:
        run = self._run
        if run is None:
            return Text(self._tally.summary(), style="dim", no_wrap=True, overflow="ellipsis")
        phase = run.phase if run.phase.is_final else self._tally.phase
        sign, style = _SIGNS[phase]
        took = ((run.ended_at or self._now()) - run.created_at).total_seconds()
        return Text.assemble(
            (f"{sign} ", style),
            (run.run, "bold"),
            f"  {run.task}  ",
            (phase.value.replace("_", " ").lower(), style),
            f"  {format_seconds(took)}",
            (f"  {self._tally.summary()}" if self._tally.total > 1 else "", "dim"),
            no_wrap=True,
            overflow="ellipsis",
        )

    def _cells(self, row: Row) -> tuple[Text, Text, Text, Text]:
        phase = next((phase for phase in _BY_WEIGHT if row.counts[phase]), ActionPhase.QUEUED)
        sign, style = _SIGNS[phase]
        name = Text.assemble("  " * (row.depth + 1), (f"{sign} ", style), row.name)
        if row.total > 1:
            name.append(f" ×{row.total:,}", style="dim")
        word = Text(phase.value.replace("_", " ").lower(), style=style) if row.total == 1 else _bar(row)
        note = f"attempt {row.last_attempt + 1}" if row.last_attempt and not (row.is_over and row.total > 1) else ""
        return name, word, Text(self._duration(row), style="dim"), Text(note, style="yellow")

    def _duration(self, row: Row) -> str:
        if row.started_at is None:
            return ""
        end = row.ended_at if row.is_over and row.ended_at is not None else self._now()
        return format_seconds((end - row.started_at).total_seconds())

    def _print_failure(self, change: Change) -> None:
        line = failure_line(change)
        # What fails the run itself is shown when it has ended, with its traceback.
        if line is None or (change.parent is None and change.kind is ChangeKind.ACTION_ENDED):
            return
        self._failures += 1
        if self._failures <= _MOST_FAILURES:
            self._console.print(Text(line, style="red", overflow="ellipsis", no_wrap=True))
        elif self._failures == _MOST_FAILURES + 1:
            self._console.print(Text("further failures are counted only", style="red"))


def _bar(row: Row) -> Text:
    """How far a row of several actions is, and what became of them."""
    bar = Text()
    parts = (
        (row.counts[ActionPhase.SUCCEEDED], "green"),
        (row.counts[ActionPhase.FAILED] + row.counts[ActionPhase.TIMED_OUT], "red"),
        (row.counts[ActionPhase.ABORTED], "yellow"),
        (row.counts[ActionPhase.RUNNING], "cyan"),
    )
    drawn = 0
    for count, style in parts:
        cells = min(_BAR - drawn, max(1, count * _BAR // row.total)) if count else 0
        bar.append("━" * cells, style=style)
        drawn += cells
    bar.append("━" * (_BAR - drawn), style="bright_black")
    bar.append(f" {row.total - row.live:,}/{row.total:,}")
    return bar
