"""What a failed test shows of its runs that failed: the tree of their actions, and the user's traceback."""

from collections.abc import Iterator
from typing import Any

from volant.model.errors import VolantError
from volant.testing.finished import FinishedAction, FinishedRun, why_of

_MOST_ACTIONS = 40


def title_of(run: FinishedRun[Any]) -> str:
    """The heading over what is said about a run."""
    return f"volant run {run.name}: {run.task} {run.phase.value}"


def text_of(run: FinishedRun[Any]) -> str:
    """The actions of the run, and why it failed. Never raises for a run whose engine is gone."""
    failure = run.failure
    why = "" if failure is None else (failure.traceback or f"{failure.code}: {failure.message}")
    try:
        tree = "\n".join(_tree(run))
    except VolantError as error:
        tree = f"its actions cannot be shown: {error}"
    return "\n\n".join(part.rstrip("\n") for part in (tree, why) if part) + "\n"


def _tree(run: FinishedRun[Any]) -> Iterator[str]:
    lines: list[tuple[str, str]] = []
    waiting = [(action, 0) for action in reversed(run.actions) if action.parent is None]
    while waiting and len(lines) < _MOST_ACTIONS:
        action, depth = waiting.pop()
        lines.append(("  " * depth + action.name, _state(action)))
        waiting += [(child, depth + 1) for child in reversed(action.children)]
    width = max((len(name) for name, _ in lines), default=0)
    for name, state in lines:
        yield f"{name:<{width}}  {state}".rstrip()
    left = len(run.actions) - len(lines)
    if left:
        yield f"... and {left} more"


def _state(action: FinishedAction) -> str:
    parts = [action.phase.value]
    if len(action.attempts) > 1:
        parts.append(f"{len(action.attempts)} attempts")
    if waits := [str(wait) for wait in action.waits if wait]:
        parts.append(f"waited {', '.join(waits)}")
    if why := why_of(action.failure):
        parts.append(why)
    return "  ".join(parts)
