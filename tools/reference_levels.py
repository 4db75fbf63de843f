"""The table of parameters: at which level each is accepted, and whether it has an effect in this version."""

from __future__ import annotations

from volant.authoring.enforcement import NOT_ENFORCED, REFUSED
from volant.authoring.parameters import PARAMETERS, Level

_NOTHING_TO_DO = {"depends_on": "kept; there is no deployment yet", "description": "kept; nothing shows it yet"}


def page() -> str:
    """Rows of a Markdown table, without its head."""
    return "\n".join(_row(name, levels) for name, levels in PARAMETERS.items()) + "\n"


def _row(name: str, levels: tuple[Level, ...]) -> str:
    marks = ["yes" if level in levels else "" for level in Level]
    return f"| {' | '.join((f'`{name}`', *marks, _effect(name)))} |"


def _effect(name: str) -> str:
    if name in _NOTHING_TO_DO:
        return _NOTHING_TO_DO[name]
    parts = [each for each in NOT_ENFORCED if each.partition(".")[0] == name]
    said: list[str] = []
    if name in parts:
        said.append("not yet")
    elif parts:
        said.append(f"not yet: {', '.join(_inner(part) for part in parts)}")
    if name in REFUSED:
        said.append(f"refused: {REFUSED[name]}")
    return "; ".join(said) or "yes"


def _inner(part: str) -> str:
    field, _, note = part.partition(".")[2].partition(" ")
    return f"`{field}` {note}".strip()
