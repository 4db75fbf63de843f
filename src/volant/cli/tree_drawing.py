"""A run's tree of actions on the screen."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import click

from volant.cli.showing import action_duration
from volant.cli.tables import Cell, can_draw, dim, phase_cell, print_table
from volant.cli.trees import Line, count_phases, durations, tree_lines
from volant.client.lines import format_seconds
from volant.client.waits import describe_wait
from volant.model.control_protocol import ActionSummary
from volant.model.phases import ActionPhase
from volant.model.specs import ActionKind

_ID = 8
"""Digits of an action's id; enough to name it nearly always."""
_DEEPEST = 8
"""Levels that are indented; deeper ones say how deep they are."""


def print_tree(actions: Sequence[ActionSummary], *, full: bool) -> None:
    """Print the actions of a run."""
    lines = tree_lines(actions, full=full)
    rows = [_row(line) for line in lines if line.actions]
    print_table(("TASK", "ID", "PHASE", "DURATION", ""), rows, cuts=(4, 0))
    for line in lines:
        if not line.actions:
            click.echo(click.style(f"{_ellipsis()} {line.hidden:,} more actions; --all shows them", dim=True))


def _row(line: Line) -> tuple[Any, ...]:
    return _fold_row(line) if line.is_fold else _action_row(line)


def _action_row(line: Line) -> tuple[Any, ...]:
    action = line.actions[0]
    notes: list[str] = [] if action.kind is ActionKind.TASK else [action.kind.value]
    if action.attempts > 1:
        notes.append(f"{action.attempts} attempts")
    if action.reused_from is not None:
        notes.append(f"reused from {action.reused_from}")
    if action.wait is not None:
        notes.append(describe_wait(action.wait))
    if action.code and (action.phase.is_final or action.attempts):
        notes.append(_why(action))
    return (
        _branch(line) + _named(action),
        dim(action.action[:_ID]),
        phase_cell(action.phase),
        action_duration(action),
        Cell(", ".join(notes), _style(action)),
    )


def _fold_row(line: Line) -> tuple[Any, ...]:
    first = line.actions[0]
    notes: list[str] = [] if first.kind is ActionKind.TASK else [first.kind.value]
    if line.below:
        failed = f", {line.failed_below:,} of them failed" if line.failed_below else ""
        notes.append(f"{line.below:,} actions below{failed}")
    retried = sum(action.attempts > 1 for action in line.actions)
    if retried:
        notes.append(f"{retried:,} retried")
    if first.reused_from is not None:
        notes.append(f"reused from {first.reused_from}")
    if first.wait is not None:
        notes.append(describe_wait(first.wait))
    if first.code:
        notes.append(_why(first))
    counted = count_phases(line.actions)
    phase = (
        phase_cell(counted[0][0]) if len(counted) == 1 else Cell(", ".join(f"{n:,} {p.lower()}" for p, n in counted))
    )
    return (
        f"{_branch(line)}{_named(first)} {'×' if can_draw() else 'x'}{len(line.actions):,}",
        "",
        phase,
        _range(durations(line.actions)),
        Cell(", ".join(notes), _style(first)),
    )


def _why(action: ActionSummary) -> str:
    """What failed it; of one that was aborted only the reason, since its phase says the rest."""
    if action.phase is ActionPhase.ABORTED and action.message:
        return action.message
    return f"{action.code}: {action.message}" if action.message else action.code


def _style(action: ActionSummary) -> dict[str, Any]:
    return {"fg": "red"} if action.code and action.phase is not ActionPhase.ABORTED else {"dim": True}


def _named(action: ActionSummary) -> str:
    return action.short_name if action.group is None else f"{action.short_name} in {action.group}"


def _range(took: tuple[timedelta, timedelta] | None) -> str:
    if took is None:
        return ""
    shortest, longest = (format_seconds(each.total_seconds()) for each in took)
    if shortest == longest:
        return longest
    number, _, unit = shortest.rpartition(" ")
    return f"{number if unit == longest.rpartition(' ')[2] else shortest}-{longest}"


def _branch(line: Line) -> str:
    if line.depth == 0:
        return ""
    bar, tee, end = ("│  ", "├─ ", "└─ ") if can_draw() else ("|  ", "|- ", "`- ")
    above = ["   " if last else bar for last in line.ends[1:-1]]
    if len(above) > _DEEPEST:
        above = [f"({line.depth} deep) "]
    return "".join(above) + (end if line.ends[-1] else tee)


def _ellipsis() -> str:
    return "…" if can_draw() else "..."
