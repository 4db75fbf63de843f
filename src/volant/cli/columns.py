"""Columns that stay readable: cells wrap within their column on a narrow terminal, and never in a pipe."""

import os
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

_ENDLESS = 10_000


def stdout_console() -> Console:
    """Standard output; as wide as the terminal, without colours and without wrapping where it is none."""
    is_terminal = sys.stdout.isatty()
    return Console(file=sys.stdout, width=None if is_terminal else _ENDLESS, highlight=False, soft_wrap=False)


def columns(header: Sequence[str], rows: Sequence[Sequence[str | Text]], *, indent: int = 0) -> Table:
    """A table without lines; an empty *header* is left out. Print it with `print_plainly`."""
    table = Table(
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
        show_header=bool(header),
        header_style="bold",
    )
    if indent:
        table.add_column("", width=indent - 2, no_wrap=True)
    for number in range(len(rows[0]) if rows else len(header)):
        table.add_column(header[number] if header else "", overflow="fold", no_wrap=number == 0)
    for row in rows:
        table.add_row(*([""] if indent else []), *row)
    return table


def print_plainly(console: Console, *parts: object) -> None:
    """Print without the spaces that rich puts at the ends of lines."""
    with console.capture() as captured:
        for part in parts:
            console.print(part)
    for line in captured.get().splitlines():
        sys.stdout.write(f"{line.rstrip()}\n")


def current_folder() -> str:
    """Where the user stands; empty when that folder was removed."""
    try:
        return os.getcwd()
    except OSError:
        return ""


def short_path(path: str) -> str:
    """A path as people write it: relative below the current folder, `~` below the user's."""
    for root, instead in ((current_folder(), ""), (os.path.expanduser("~"), "~/")):
        if not root:
            continue
        if path == root:
            return instead.rstrip("/") or "."
        if path.startswith(f"{root}/"):
            return instead + path.removeprefix(f"{root}/")
    return path
