"""A run's actions as a tree that a person can read, however many they are.

The most interesting comes first: what failed, then what is under way, then what waits, then what is done. Siblings
that say the same, calls of one task that stand alike, are folded into one line with their number; what is still too
much is counted.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import NamedTuple

from volant.model.control_protocol import ActionSummary
from volant.model.ids import ActionId
from volant.model.phases import ActionPhase

_ORDER = (
    ActionPhase.FAILED,
    ActionPhase.TIMED_OUT,
    ActionPhase.RUNNING,
    ActionPhase.PAUSED,
    ActionPhase.INITIALIZING,
    ActionPhase.WAITING_FOR_RESOURCES,
    ActionPhase.QUEUED,
    ActionPhase.ABORTED,
    ActionPhase.SUCCEEDED,
)
_RANK = {phase: rank for rank, phase in enumerate(_ORDER)}
_SINGLE = {
    ActionPhase.FAILED: 3,
    ActionPhase.TIMED_OUT: 3,
    ActionPhase.RUNNING: 5,
    ActionPhase.PAUSED: 3,
    ActionPhase.INITIALIZING: 1,
    ActionPhase.WAITING_FOR_RESOURCES: 1,
    ActionPhase.QUEUED: 1,
    ActionPhase.ABORTED: 0,
    ActionPhase.SUCCEEDED: 0,
}
"""So many of equal siblings have lines of their own; the others are folded."""
_FAILED = (ActionPhase.FAILED, ActionPhase.TIMED_OUT)
_FEW = 3
"""As many equal siblings need no fold."""
_MOST_LINES = 100


class Line(NamedTuple):
    """One line: an action, a fold of several, or a count of what is not shown."""

    depth: int
    ends: tuple[bool, ...]
    """For each level down to this one, whether nothing follows on it."""
    actions: tuple[ActionSummary, ...]
    """One, or those that are folded, the most interesting first; none for a count."""
    below: int = 0
    """Actions below those that are folded."""
    failed_below: int = 0
    """How many of those failed."""
    hidden: int = 0
    """Actions that are not shown, in a count."""

    @property
    def is_fold(self) -> bool:
        """Whether it stands for several."""
        return len(self.actions) > 1


class _Node:
    __slots__ = ("action", "children", "failed", "rank", "size")

    def __init__(self, action: ActionSummary) -> None:
        self.action = action
        self.children: list[_Node] = []
        self.rank = _RANK[action.phase]
        """Of the most interesting in the tree below it."""
        self.size = 1
        self.failed = int(self.rank <= _RANK[ActionPhase.TIMED_OUT])
        """Actions of the tree below it that failed, with itself."""


def tree_lines(actions: Sequence[ActionSummary], *, full: bool = False) -> list[Line]:
    """The lines of a tree; *full* folds and cuts nothing."""
    roots = _grow(actions)
    lines: list[Line] = []
    room = None if full else _MOST_LINES
    for line in _walk(roots, 0, (), full=full):
        if room is not None and len(lines) >= room:
            shown = sum(len(each.actions) + each.below for each in lines)
            lines.append(Line(0, (), (), hidden=len(actions) - shown))
            break
        lines.append(line)
    return lines


def _grow(actions: Sequence[ActionSummary]) -> list[_Node]:
    nodes: dict[ActionId, _Node] = {action.action: _Node(action) for action in actions}
    roots: list[_Node] = []
    for node in nodes.values():
        parent = nodes.get(node.action.parent) if node.action.parent is not None else None
        (roots if parent is None else parent.children).append(node)
    # Parents are created before their children, so the last ones have nothing below them that is not done.
    for node in reversed(nodes.values()):
        parent = nodes.get(node.action.parent) if node.action.parent is not None else None
        if parent is not None:
            parent.rank = min(parent.rank, node.rank)
            parent.size += node.size
            parent.failed += node.failed
    return roots


def _walk(siblings: list[_Node], depth: int, ends: tuple[bool, ...], *, full: bool) -> Iterator[Line]:
    # A tree may be deeper than Python's recursion: what is left to do is kept here.
    waiting = [_entries(siblings, depth, ends, full=full)]
    while waiting:
        entry = next(waiting[-1], None)
        if entry is None:
            waiting.pop()
            continue
        line, below = entry
        yield line
        if below:
            waiting.append(_entries(below, line.depth + 1, line.ends, full=full))


def _entries(
    siblings: list[_Node], depth: int, ends: tuple[bool, ...], *, full: bool
) -> Iterator[tuple[Line, list[_Node]]]:
    """The lines of siblings, each with what is to be shown below it."""
    groups = _groups(siblings, full=full)
    for number, group in enumerate(groups, start=1):
        here = (*ends, number == len(groups))
        if len(group) == 1:
            yield Line(depth, here, (group[0].action,)), group[0].children
        else:
            below = sum(node.size for node in group) - len(group)
            failed = sum(node.failed - (node.action.phase in _FAILED) for node in group)
            yield Line(depth, here, tuple(node.action for node in group), below, failed), []


def _groups(siblings: list[_Node], *, full: bool) -> list[list[_Node]]:
    if full:
        return [[node] for node in siblings]
    alike: dict[tuple[object, ...], list[_Node]] = {}
    for node in sorted(siblings, key=lambda node: node.rank):
        action = node.action
        same = (node.rank, action.short_name, action.group, action.phase, bool(node.children), action.reused_from)
        alike.setdefault(same, []).append(node)
    groups: list[list[_Node]] = []
    for (rank, *_), nodes in alike.items():
        single = len(nodes) if len(nodes) <= _FEW else _SINGLE[_ORDER[rank]] if isinstance(rank, int) else 0
        if len(nodes) - single == 1:
            single = len(nodes)
        groups += [[node] for node in nodes[:single]]
        if nodes[single:]:
            groups.append(nodes[single:])
    return groups


def count_phases(actions: Sequence[ActionSummary]) -> list[tuple[ActionPhase, int]]:
    """How many stand in each phase, the most interesting first."""
    counts = Counter(action.phase for action in actions)
    return [(phase, counts[phase]) for phase in _ORDER if counts[phase]]


def durations(actions: Sequence[ActionSummary]) -> tuple[timedelta, timedelta] | None:
    """The shortest and the longest time that those that have ended took."""
    took = [
        action.ended_at - action.started_at
        for action in actions
        if action.started_at is not None and action.ended_at is not None
    ]
    return (min(took), max(took)) if took else None
