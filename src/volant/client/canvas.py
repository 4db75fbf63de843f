"""The last lines of a terminal, drawn again and again, with lines that stay printed above them."""

import os
from collections.abc import Sequence
from typing import TextIO

from volant.client.cells import Line, painted, width_of

_DEFAULT = os.terminal_size((80, 24))
_HIDE, _SHOW = "\x1b[?25l", "\x1b[?25h"


class Canvas:
    """Draws on *stream*. Every drawing is one write; whatever became of the stream, nothing is raised."""

    def __init__(self, stream: TextIO, *, rewraps: bool = True) -> None:
        """*rewraps*: whether the terminal breaks lines anew when it gets narrower, instead of cutting them."""
        self._stream = stream
        self._rewraps = rewraps
        self._widths: list[int] = []
        """Of the lines that are there now."""
        self._is_open = False
        self._is_gone = False

    @property
    def size(self) -> os.terminal_size:
        """Columns and lines of the terminal as it is now."""
        try:
            found = os.get_terminal_size(self._stream.fileno())
        except (OSError, ValueError):
            return _DEFAULT
        return found if found.columns > 0 and found.lines > 0 else _DEFAULT

    @property
    def can_encode(self) -> bool:
        """Whether the terminal shows more than ASCII."""
        try:
            "▸✓✗■━…⏸·│×".encode(self._stream.encoding or "utf-8")
        except (UnicodeEncodeError, LookupError):
            return False
        return True

    def draw(self, lines: Sequence[Line], above: Sequence[str] = ()) -> None:
        """Replace what is drawn; *above* goes before it and stays. Lines of *lines* have to fit."""
        text = [self._back()]
        if not self._is_open:
            self._is_open = True
            text.insert(0, _HIDE)
        text += [f"{line}\x1b[K\n" for line in above]
        text += [f"{painted(line)}\x1b[K\n" for line in lines]
        self._widths = [width_of(line) for line in lines]
        text.append("\x1b[J")
        self._write("".join(text))

    def print(self, lines: Sequence[str]) -> None:
        """Lines that stay, with nothing drawn below them."""
        self._write("".join(f"{line}\n" for line in lines))

    def close(self) -> None:
        """Leave what is drawn."""
        if self._is_open:
            self._is_open = False
            self._widths = []
            self._write(_SHOW)

    def _back(self) -> str:
        """To where the drawing begins, counted in the lines that it takes at the terminal's present width."""
        columns = self.size.columns
        rows = sum(max(1, -(-width // columns)) if self._rewraps else 1 for width in self._widths)
        return f"\r\x1b[{rows}A" if rows else "\r"

    def _write(self, text: str) -> None:
        if self._is_gone:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            self._is_gone = True
