"""How a run stands, counted from its changes, in memory that does not grow with its actions.

Actions are folded by the path of task names that leads to them: a thousand calls of `delays` by `main` are one row
`main > delays`, or one for each `volant.group` in which they were called. Only actions that live are remembered one
by one.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime

from volant.model.ids import ActionId
from volant.model.phases import ActionPhase
from volant.model.records import Change, ChangeKind

_DEEPEST = 8
"""Deeper calls are counted with their ancestor's row, under their own name."""
_MOST_ROWS = 500


class Row:
    """All actions of one task that were called along one path."""

    __slots__ = (
        "children",
        "counts",
        "depth",
        "ended_at",
        "group",
        "last_attempt",
        "message",
        "name",
        "parent",
        "started_at",
        "total",
    )

    def __init__(self, name: str, depth: int, *, parent: "Row | None" = None, group: str | None = None) -> None:
        self.name = name
        self.depth = depth
        self.parent = parent
        """None also for those at the top."""
        self.group = group
        self.children: dict[tuple[str, str | None], Row] = {}
        self.counts: Counter[ActionPhase] = Counter()
        self.total = 0
        self.started_at: datetime | None = None
        """Start of the first attempt of any of them."""
        self.ended_at: datetime | None = None
        """End of the last one that has ended."""
        self.last_attempt = 0
        """The highest attempt number seen, from 0."""
        self.message = ""
        """The last failure."""

    @property
    def is_over(self) -> bool:
        """Whether none of them lives."""
        return self.live == 0

    @property
    def live(self) -> int:
        """How many have not ended."""
        return sum(count for phase, count in self.counts.items() if not phase.is_final)


class _Live:
    __slots__ = ("phase", "row")

    def __init__(self, row: Row) -> None:
        self.row = row
        self.phase = ActionPhase.QUEUED


class Tally:
    """A run's state, fed with its changes in order."""

    def __init__(self) -> None:
        self.top = Row("", -1)
        self.counts: Counter[ActionPhase] = Counter()
        self.total = 0
        self.retried = 0
        self.reused = 0
        """Actions whose outcome was taken over from another run."""
        self.phase = ActionPhase.QUEUED
        self._live: dict[ActionId, _Live] = {}
        self._rows = 0

    def take(self, changes: Sequence[Change]) -> None:
        """More has happened."""
        for change in changes:
            self._take(change)

    def close(self, phase: ActionPhase) -> None:
        """The run has ended so; what was still alive, as far as the changes told, was aborted with it."""
        self.phase = phase
        for live in self._live.values():
            self._count(live, -1)
            live.phase = ActionPhase.ABORTED
            self._count(live, 1)
        self._live.clear()

    def rows(self) -> Iterator[Row]:
        """All rows, each before its children, in the order of their first call."""
        waiting = list(reversed(self.top.children.values()))
        while waiting:
            row = waiting.pop()
            yield row
            waiting.extend(reversed(row.children.values()))

    def summary(self) -> str:
        """The counts in words."""
        shown = (
            (ActionPhase.SUCCEEDED, "succeeded"),
            (ActionPhase.FAILED, "failed"),
            (ActionPhase.TIMED_OUT, "timed out"),
            (ActionPhase.ABORTED, "aborted"),
            (ActionPhase.RUNNING, "running"),
            (ActionPhase.PAUSED, "paused"),
            (ActionPhase.INITIALIZING, "starting"),
            (ActionPhase.WAITING_FOR_RESOURCES, "waiting for resources"),
            (ActionPhase.QUEUED, "queued"),
        )
        parts = [f"{self.counts[phase]:,} {word}" for phase, word in shown if self.counts[phase]]
        if self.retried:
            parts.append(f"{self.retried:,} retried")
        if self.reused:
            parts.append(f"{self.reused:,} reused")
        actions = "1 action" if self.total == 1 else f"{self.total:,} actions"
        return f"{actions}: {', '.join(parts)}" if parts else actions

    def _take(self, change: Change) -> None:
        match change.kind:
            case ChangeKind.RUN_CREATED | ChangeKind.RUN_RESUMED | ChangeKind.WARNING:
                pass
            case ChangeKind.RUN_ENDED:
                self.phase = change.phase
            case ChangeKind.ACTION_CREATED:
                self._create(change)
            case ChangeKind.ATTEMPT_STARTED | ChangeKind.ATTEMPT_ENDED | ChangeKind.WAITING:
                self._move(change)
            case ChangeKind.ACTION_ENDED:
                self._end(change)

    def _create(self, change: Change) -> None:
        if change.action is None or change.action in self._live:
            return
        parent = self._live.get(change.parent) if change.parent is not None else None
        row = self._row(parent.row if parent is not None else self.top, change.name, change.group)
        live = self._live[change.action] = _Live(row)
        live.phase = change.phase
        row.total += 1
        self.total += 1
        self._count(live, 1)

    def _move(self, change: Change) -> None:
        live = self._live.get(change.action) if change.action is not None else None
        if live is None:
            return
        self._count(live, -1)
        if change.kind is ChangeKind.ATTEMPT_ENDED:
            # The action goes on: with another attempt, which is queued until it starts.
            is_put_away = change.phase is ActionPhase.PAUSED
            live.phase = ActionPhase.PAUSED if is_put_away else ActionPhase.QUEUED
            if not is_put_away:
                live.row.message = change.message
                self.retried += 1
        else:
            live.phase = change.phase
            self.phase = ActionPhase.RUNNING
        if change.kind is ChangeKind.ATTEMPT_STARTED:
            live.row.started_at = live.row.started_at or change.at
            live.row.last_attempt = max(live.row.last_attempt, change.attempt or 0)
        self._count(live, 1)

    def _end(self, change: Change) -> None:
        live = self._live.pop(change.action, None) if change.action is not None else None
        if live is None:
            return
        self._count(live, -1)
        live.phase = change.phase
        self._count(live, 1)
        live.row.ended_at = change.at
        if change.phase is ActionPhase.SUCCEEDED and change.message:
            # A success has nothing to say unless it came from elsewhere.
            self.reused += 1
        elif change.message:
            live.row.message = change.message

    def _count(self, live: _Live, by: int) -> None:
        live.row.counts[live.phase] += by
        self.counts[live.phase] += by

    def _row(self, parent: Row, name: str, group: str | None) -> Row:
        if parent.depth + 1 >= _DEEPEST and parent.name == name:
            return parent
        row = parent.children.get((name, group))
        if row is None:
            if self._rows >= _MOST_ROWS or parent.depth + 1 >= _DEEPEST + 2:
                name, group = "(other tasks)", None
                parent = self.top
                row = parent.children.get((name, group))
            if row is None:
                above = None if parent is self.top else parent
                row = Row(name, parent.depth + 1, parent=above, group=group)
                parent.children[name, group] = row
                self._rows += 1
        return row
