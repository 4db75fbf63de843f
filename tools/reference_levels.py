"""The table of parameters: at which level each is accepted, and whether it has an effect in this version."""

from __future__ import annotations

from volant.authoring.enforcement import NOT_ENFORCED, REFUSED
from volant.authoring.parameters import PARAMETERS, Level


def page() -> str:
    """Rows of a Markdown table, without its head."""
    return "\n".join(_row(name, levels) for name, levels in PARAMETERS.items()) + "\n"


def _row(name: str, levels: tuple[Level, ...]) -> str:
    marks = ["yes" if level in levels else "" for level in Level]
    return f"| {' | '.join((f'`{name}`', *marks, _effect(name)))} |"


def _effect(name: str) -> str:
    if name in REFUSED:
        return f"refused: {REFUSED[name]}"
    parts = [each for each in NOT_ENFORCED if each.partition(".")[0] == name]
    if name in parts:
        return "not yet"
    return f"not yet: {', '.join(_inner(part) for part in parts)}" if parts else "yes"


def _inner(part: str) -> str:
    field, _, note = part.partition(".")[2].partition(" ")
    return f"`{field}` {note}".strip()
