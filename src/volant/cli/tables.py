"""Columns of text: as wide as they need to be, cut to the terminal where there is one, and never in a pipe."""

import shutil
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import click

from volant.client.cells import folded
from volant.model.phases import ActionPhase

_GAP = 2
_NARROWEST = 12
"""Columns of a cell that are left when it is cut."""

_SIGNS = {
    ActionPhase.QUEUED: ("·", None),
    ActionPhase.WAITING_FOR_RESOURCES: ("·", None),
    ActionPhase.INITIALIZING: ("▸", "cyan"),
    ActionPhase.RUNNING: ("▸", "cyan"),
    ActionPhase.PAUSED: ("⏸", "yellow"),
    ActionPhase.SUCCEEDED: ("✓", "green"),
    ActionPhase.FAILED: ("✗", "red"),
    ActionPhase.TIMED_OUT: ("✗", "red"),
    ActionPhase.ABORTED: ("■", "yellow"),
}


class Cell(NamedTuple):
    """Text, and how it looks."""

    text: str
    style: dict[str, Any] = {}  # noqa: RUF012 - as click.style takes it; never changed


def dim(text: str) -> Cell:
    """What matters less."""
    return Cell(text, {"dim": True})


def phase_word(phase: ActionPhase) -> str:
    """A phase as people say it."""
    return phase.value.replace("_", " ").lower()


def phase_sign(phase: ActionPhase) -> str:
    """A phase as a sign, where standard output can show it."""
    return _SIGNS[phase][0] if can_draw() else ""


def phase_style(phase: ActionPhase) -> dict[str, Any]:
    """How what stands so looks."""
    colour = _SIGNS[phase][1]
    return {"dim": True} if colour is None else {"fg": colour}


def phase_cell(phase: ActionPhase, *, note: str = "") -> Cell:
    """A phase with its sign."""
    return Cell(f"{phase_sign(phase)} {phase_word(phase)}{note}".lstrip(), phase_style(phase))


def time_cell(when: datetime | None) -> str:
    """An instant in the user's time zone: on a terminal as short as it is clear, elsewhere whole."""
    if when is None:
        return ""
    local = when.astimezone()
    if not sys.stdout.isatty():
        return local.strftime("%Y-%m-%d %H:%M:%S")
    return local.strftime("%H:%M:%S" if local.date() == datetime.now().astimezone().date() else "%Y-%m-%d %H:%M")


def can_draw() -> bool:
    """Whether standard output takes characters beyond ASCII."""
    try:
        "✓│├└─…".encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def screen_width() -> int | None:
    """Columns of the terminal; None where standard output is none, so that programs get whole lines."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def print_table(
    header: Sequence[str], rows: Sequence[Sequence[str | Cell]], *, cuts: Sequence[int] = (), drops: Sequence[int] = ()
) -> None:
    """Print rows under a header. On a narrow terminal the columns *cuts* are cut, and then *drops* left out, each in
    this order, as far as it takes."""
    plain = [[_cell(value) for value in row] for row in rows]
    lines = [[Cell(name, {"bold": True}) for name in header], *plain]
    widths = [max(len(line[column].text) for line in lines) for column in range(len(header))]
    # A column that is empty in all rows says nothing.
    shown = [column for column in range(len(widths)) if any(row[column].text for row in plain)]
    _fit(widths, shown, cuts, drops, screen_width())
    for line in lines:
        click.echo(_line([line[column] for column in shown], [widths[column] for column in shown]))


def print_fields(fields: Sequence[tuple[str, str | Cell]]) -> None:
    """Print names and values, one a line; those without a value are left out."""
    shown = [(name, _cell(value)) for name, value in fields]
    width = max((len(name) for name, value in shown if value.text), default=0)
    screen = screen_width()
    for name, value in shown:
        if not value.text:
            continue
        lines = [value.text] if screen is None else folded(value.text, screen - width - _GAP, indent="")
        for number, line in enumerate(lines):
            label = click.style(name.ljust(width), dim=True) if number == 0 else " " * width
            click.echo(f"{label}{' ' * _GAP}{click.style(line, **value.style)}")


def cut(text: str, width: int) -> str:
    """Text that fits, and shows that it was longer."""
    if len(text) <= width:
        return text
    end = "…" if can_draw() else "..."
    return text[: max(0, width - len(end))] + end


def _fit(widths: list[int], shown: list[int], cuts: Sequence[int], drops: Sequence[int], screen: int | None) -> None:
    if screen is None:
        return

    def excess() -> int:
        return sum(widths[column] for column in shown) + _GAP * (len(shown) - 1) - screen

    least = sum(min(widths[column], _NARROWEST) if column in cuts else widths[column] for column in shown)
    for column in drops:
        if column in shown and least + _GAP * (len(shown) - 1) > screen:
            shown.remove(column)
            least -= min(widths[column], _NARROWEST) if column in cuts else widths[column]
    for column in cuts:
        if column in shown and (over := excess()) > 0:
            widths[column] -= min(over, max(0, widths[column] - _NARROWEST))


def _line(cells: list[Cell], widths: list[int]) -> str:
    pieces: list[str] = []
    for cell, width in zip(cells, widths, strict=True):
        text = cut(cell.text, width)
        styled = click.style(text, **cell.style) if cell.style and text else text
        pieces.append(styled + " " * (width - len(text)))
    while pieces and not pieces[-1].strip():
        pieces.pop()
    return (" " * _GAP).join(pieces).rstrip()


def _cell(value: str | Cell) -> Cell:
    cell = Cell(value) if isinstance(value, str) else value
    # What users write may have more lines than a table's row.
    return cell if cell.text.isprintable() else cell._replace(text=" ".join(_printable(cell.text).split()))


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)
