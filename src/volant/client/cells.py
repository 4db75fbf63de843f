"""Styled text that fits into so many cells of a terminal. Cheap enough to be made ten times a second."""

import textwrap
from collections.abc import Sequence
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size

_CODES = {
    "": "",
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "cyan": "36",
    "grey": "90",
}


_NARROWEST = 20
"""Cells below which prose is not broken between words."""


class Piece(NamedTuple):
    """Text in one style."""

    text: str
    style: str = ""


Line = Sequence[Piece]


def width_of(line: Line) -> int:
    """How many cells it takes."""
    return sum(cell_len(piece.text) for piece in line)


def fitted(line: Line, width: int, *, ellipsis: str = "…") -> list[Piece]:
    """The line, cut where there is no room for all of it."""
    if width_of(line) <= width:
        return list(line)
    room = max(0, width - cell_len(ellipsis))
    kept: list[Piece] = []
    for piece in line:
        size = cell_len(piece.text)
        if size > room:
            kept.append(Piece(set_cell_size(piece.text, room).rstrip(), piece.style))
            break
        kept.append(piece)
        room -= size
    return [*kept, Piece(ellipsis, "dim")] if width > 0 else []


def folded(text: str, width: int, *, head: int = 0, indent: str = "  ") -> list[str]:
    """Prose as lines of at most *width* cells, broken between words; *head* cells of the first one are taken,
    the others begin with *indent*.

    What has no spaces, such as a path, stays in one piece however long it is.
    """
    wrapper = textwrap.TextWrapper(
        max(_NARROWEST, width), subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
    first, *more = ("x" * head + text).split("\n")
    lines = [*wrapper.wrap(first), *(part for line in more for part in wrapper.wrap(line) or [""])]
    return [lines[0][head:], *lines[1:]] if lines else [""]


def padded(line: Line, width: int) -> list[Piece]:
    """The line with room after it, *width* cells in all."""
    return [*line, Piece(" " * max(0, width - width_of(line)))]


def painted(line: Line) -> str:
    """With the codes that make a terminal show the styles; only the basic ones, which every theme knows."""
    return "".join(f"\x1b[{code}m{text}\x1b[0m" if (code := _CODES[style]) else text for text, style in line if text)
