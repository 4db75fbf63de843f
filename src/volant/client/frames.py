"""A run as lines for a terminal: one for the run, and a tree of its tasks that fits however large the run is."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from volant.client.cells import Line, Piece, fitted, padded, width_of
from volant.client.lines import format_seconds
from volant.client.tally import Row, Tally
from volant.model.phases import ActionPhase
from volant.model.records import RunRecord

_MOST_ROWS: Final = 24
_NARROW, _WIDE = 60, 120
"""Columns below which there is no room for bars, and from which on there is more than enough."""
_SHORT_BAR, _LONG_BAR = 16, 32
_GAP: Final = Piece("  ")
_SIGNS: Final = {
    ActionPhase.QUEUED: ("·", ".", "grey"),
    ActionPhase.WAITING_FOR_RESOURCES: ("·", ".", "grey"),
    ActionPhase.INITIALIZING: ("▸", ">", "cyan"),
    ActionPhase.RUNNING: ("▸", ">", "cyan"),
    ActionPhase.PAUSED: ("⏸", "=", "yellow"),
    ActionPhase.SUCCEEDED: ("✓", "+", "green"),
    ActionPhase.FAILED: ("✗", "x", "red"),
    ActionPhase.TIMED_OUT: ("✗", "x", "red"),
    ActionPhase.ABORTED: ("■", "#", "yellow"),
}
_BY_WEIGHT: Final = (
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
_TOLD: Final = (
    (ActionPhase.FAILED, "failed"),
    (ActionPhase.TIMED_OUT, "timed out"),
    (ActionPhase.ABORTED, "aborted"),
    (ActionPhase.PAUSED, "paused"),
    (ActionPhase.RUNNING, "running"),
)


class Frames:
    """Lays out the drawing of a run."""

    def __init__(self, *, is_ascii: bool = False) -> None:
        self._ascii = is_ascii
        self._ellipsis = "..." if is_ascii else "…"

    def frame(self, tally: Tally, run: RunRecord | None, now: datetime, *, columns: int, lines: int) -> list[Line]:
        """All lines; none is longer than the terminal is wide, and there are fewer than it has."""
        width = max(1, columns - 1)
        header = self._header(tally, run, now, with_task=tally.total <= 1 or columns >= _NARROW)
        if tally.total > 1 and width_of(header) > width:
            # The first row of the tree names the task, too.
            header = self._header(tally, run, now, with_task=False)
        drawn: list[Line] = [fitted(header, width, ellipsis=self._ellipsis)]
        if tally.total <= 1:
            return drawn
        rows = list(tally.rows())
        room = max(1, min(_MOST_ROWS, lines - 4))
        shown = rows if len(rows) <= room else chosen(rows, room)
        bar = 0 if columns < _NARROW else _SHORT_BAR if columns < _WIDE else _LONG_BAR
        cells = [self._cells(row, now, bar=bar) for row in shown]
        drawn += [fitted(line, width, ellipsis=self._ellipsis) for line in _aligned(cells, width)]
        if len(rows) > len(shown):
            left = len(rows) - len(shown)
            drawn.append(fitted([Piece(f"  {self._ellipsis} and {left:,} more tasks", "dim")], width))
        return drawn

    def _header(self, tally: Tally, run: RunRecord | None, now: datetime, *, with_task: bool) -> Line:
        if run is None:
            return [Piece(tally.summary(), "dim")]
        phase = run.phase if run.phase.is_final else tally.phase
        took = ((run.ended_at or now) - run.created_at).total_seconds()
        line = [
            self._sign(phase),
            Piece(run.run, "bold"),
            Piece(f"  {run.task}  " if with_task else "  "),
            Piece(_word(phase), _SIGNS[phase][2]),
            Piece(f"  {format_seconds(took)}"),
        ]
        if tally.total <= 1:
            return line
        ended = sum(count for phase, count in tally.counts.items() if phase.is_final)
        line.append(Piece(f"  {ended:,}/{tally.total:,} actions"))
        facts = _facts(tally.counts)
        if tally.retried:
            facts.append(Piece(f"{tally.retried:,} retried", "yellow"))
        if tally.reused:
            facts.append(Piece(f"{tally.reused:,} reused", "dim"))
        for fact in facts:
            line += [_GAP, fact]
        return line

    def _cells(self, row: Row, now: datetime, *, bar: int) -> tuple[Line, ...]:
        phase = next((phase for phase in _BY_WEIGHT if row.counts[phase]), ActionPhase.QUEUED)
        times = "x" if self._ascii else "×"
        name = [Piece("  " * (row.depth + 1)), self._sign(phase), Piece(row.name)]
        if row.group:
            name.append(Piece(f" in {row.group}", "dim"))
        if row.total > 1:
            name.append(Piece(f" {times}{row.total:,}", "dim"))
        if row.total == 1:
            state: Line = [Piece(_word(phase), _SIGNS[phase][2])]
            facts: list[Piece] = []
        else:
            state = [*(self._bar(row, bar) if bar else []), Piece(f"{row.total - row.live:,}/{row.total:,}")]
            facts = _facts(row.counts)
        attempt = row.last_attempt + 1 if row.last_attempt and not (row.is_over and row.total > 1) else 0
        if attempt:
            facts.append(Piece(f"attempt {attempt}", "yellow"))
        notes = [piece for fact in facts for piece in (_GAP, fact)][1:]
        # The duration is what is missed least where there is no room.
        return name, state, notes, [Piece(_duration(row, now), "dim")] if bar else []

    def _bar(self, row: Row, cells: int) -> list[Piece]:
        """How far a row of several actions is, and what became of them."""
        full, empty = ("=", "-") if self._ascii else ("━", "━")
        parts = (
            (row.counts[ActionPhase.SUCCEEDED], "green"),
            (row.counts[ActionPhase.FAILED] + row.counts[ActionPhase.TIMED_OUT], "red"),
            (row.counts[ActionPhase.ABORTED], "yellow"),
            (row.counts[ActionPhase.RUNNING] + row.counts[ActionPhase.INITIALIZING], "cyan"),
        )
        sizes = shares([count for count, _ in parts], row.total, cells)
        bar = [Piece(full * size, style) for size, (_, style) in zip(sizes, parts, strict=True)]
        return [*bar, Piece(empty * (cells - sum(sizes)), "grey"), Piece(" ")]

    def _sign(self, phase: ActionPhase) -> Piece:
        drawn, plain, style = _SIGNS[phase]
        return Piece(f"{plain if self._ascii else drawn} ", style)


def chosen(rows: Sequence[Row], room: int) -> list[Row]:
    """Of all rows as many as there is room for, in their order: those that failed or run first, under their parents."""
    kept: dict[int, Row] = {}
    for row in sorted(rows, key=_rank):
        above: list[Row] = []
        each: Row | None = row
        while each is not None and id(each) not in kept:
            above.append(each)
            each = each.parent
        if len(kept) + len(above) <= room:
            kept |= {id(each): each for each in above}
        if len(kept) == room:
            break
    return [row for row in rows if id(row) in kept]


def _rank(row: Row) -> int:
    counts = row.counts
    if counts[ActionPhase.FAILED] or counts[ActionPhase.TIMED_OUT]:
        return 0
    if counts[ActionPhase.RUNNING] or counts[ActionPhase.INITIALIZING] or counts[ActionPhase.PAUSED]:
        return 1
    return 2 if row.live else 3


def shares(counts: Sequence[int], total: int, cells: int) -> list[int]:
    """Cells of a bar: none for nothing, at least one for something, all of them for everything, and never more."""
    sizes = [max(1, count * cells // total) if count else 0 for count in counts]
    if sum(counts) == total and sum(sizes) < cells:
        sizes[sizes.index(max(sizes))] += cells - sum(sizes)
    while sum(sizes) > cells:
        sizes[sizes.index(max(sizes))] -= 1
    return sizes


def _facts(counts: Counter[ActionPhase]) -> list[Piece]:
    """What is worth a word."""
    found: list[Piece] = []
    for phase, word in _TOLD:
        count = counts[phase] + (counts[ActionPhase.INITIALIZING] if phase is ActionPhase.RUNNING else 0)
        if count:
            found.append(Piece(f"{count:,} {word}", _SIGNS[phase][2]))
    return found


def _duration(row: Row, now: datetime) -> str:
    if row.started_at is None:
        return ""
    end = row.ended_at if row.is_over and row.ended_at is not None else now
    return format_seconds((end - row.started_at).total_seconds())


def _word(phase: ActionPhase) -> str:
    return phase.value.replace("_", " ").lower()


def _aligned(rows: Sequence[tuple[Line, ...]], width: int) -> list[Line]:
    """Columns as wide as they need to be; a long name gives way to what stands after it."""
    if not rows:
        return []
    widths = [max(width_of(row[column]) for row in rows) for column in range(len(rows[0]))]
    others = sum(size + 2 for size in widths[1:] if size)
    widths[0] = max(min(widths[0], width - others), min(widths[0], width // 3))
    aligned: list[Line] = []
    for row in rows:
        line: list[Piece] = []
        for cell, size in zip(row, widths, strict=True):
            if size:
                line += [*([_GAP] if line else []), *padded(fitted(cell, size), size)]
        aligned.append(_stripped(line))
    return aligned


def _stripped(line: list[Piece]) -> list[Piece]:
    while line and not line[-1].text.strip():
        line.pop()
    return line
