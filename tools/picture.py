"""Draw what a run looks like on a terminal, for README and docs: `docs/images/run-light.svg` and `run-dark.svg`.

A real `volant run` is executed in a terminal of its own, in a home of its own. What it wrote is replayed through a
terminal emulator up to a moment in the middle and to its end, so a picture shows exactly what a person saw.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import importlib
import os
import pty
import re
import select
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.style import Style
from rich.terminal_theme import TerminalTheme
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
COLUMNS, LINES = 88, 30

PROGRAM = '''\
"""Measure the delays of three airlines, month by month."""
import asyncio
import time
import volant

env = volant.TaskEnvironment(name="flights")


@env.task(retries=2)
async def delays(airline: str, month: int) -> float:
    if (airline, month) == ("DL", 7) and volant.ctx().attempt_number == 0:
        raise ConnectionError(f"no answer for {airline}")
    await asyncio.sleep(0.2 + 0.1 * (month % 5))
    return float(month)


@env.task
async def airline(name: str) -> float:
    return sum(await asyncio.gather(*(delays(name, month) for month in range(1, 13))))


@env.task
def report(totals: list[float]) -> str:
    time.sleep(0.3)
    return f"{sum(totals) / 36:.1f} minutes late on average"


@env.task
async def main() -> str:
    totals = await asyncio.gather(*(airline(name) for name in ("AA", "DL", "UA")))
    return await report.aio(list(totals))
'''
COMMAND = ("volant", "run", "pipeline.py", "main", "--name", "morning")


def _theme(background: str, foreground: str, normal: str, bright: str) -> TerminalTheme:
    """Colours as hexadecimal text: black, red, green, yellow, blue, magenta, cyan, white."""
    return TerminalTheme(
        _colour(background),
        _colour(foreground),
        [_colour(each) for each in normal.split()],
        [_colour(each) for each in bright.split()],
    )


def _colour(text: str) -> tuple[int, int, int]:
    red, green, blue = bytes.fromhex(text)
    return red, green, blue


LIGHT = _theme(
    "fafafa",
    "24292f",
    "24292f cf222e 116329 7d4e00 0969da 8250df 1b7c83 6e7781",
    "afb8c1 a40e26 1a7f37 633c01 218bff a475f9 3192aa 8c959f",
)
DARK = _theme(
    "161b22",
    "c9d1d9",
    "484f58 ff7b72 3fb950 d29922 58a6ff bc8cff 39c5cf b1bac4",
    "6e7681 ffa198 56d364 e3b341 79c0ff d2a8ff 56d4dd f0f6fc",
)
_COLOURS = ("black", "red", "green", "brown", "blue", "magenta", "cyan", "white")
_DIM = Style(dim=True)


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """What the program wrote, and when, in seconds from its start."""

    at: float
    data: bytes


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--moment", type=float, default=0.55, help="which part of the run the picture shows, 0 to 1")
    moment: float = parser.parse_args(argv).moment
    chunks = record()
    until = chunks[-1].at * moment
    middle = screen_after([chunk for chunk in chunks if chunk.at <= until])
    end = screen_after(chunks)
    IMAGES.mkdir(parents=True, exist_ok=True)
    for name, theme in (("light", LIGHT), ("dark", DARK)):
        path = IMAGES / f"run-{name}.svg"
        path.write_text(drawn(middle, end, theme), encoding="utf-8")
        print(path.relative_to(ROOT))
    return 0


def record() -> list[Chunk]:
    """Execute the program on a terminal and give what it wrote there."""
    with tempfile.TemporaryDirectory(prefix="volant-picture-") as folder:
        (Path(folder) / "pipeline.py").write_text(PROGRAM, encoding="utf-8")
        environ = {name: value for name, value in os.environ.items() if not name.startswith("VOLANT_")}
        tools = Path(sys.executable).parent
        environ |= {
            "VOLANT_HOME": str(Path(folder) / "home"),
            "PATH": f"{tools}{os.pathsep}{environ.get('PATH', '')}",
            "TERM": "xterm-256color",
            "COLORTERM": "",
            "COLUMNS": str(COLUMNS),
            "LINES": str(LINES),
        }
        try:
            # Once without being watched, so that the picture shows a run and not the start of an engine.
            _must([*COMMAND[:-1], "warm-up"], folder, environ)
            return list(_on_a_terminal(COMMAND, folder, environ))
        finally:
            _must(["volant", "engine", "stop", "--abort-runs"], folder, environ)


def screen_after(chunks: Sequence[Chunk]) -> Text:
    """What is on the screen when all of it was written."""
    # The emulator has no types of its own.
    pyte: Any = importlib.import_module("pyte")
    screen = pyte.Screen(COLUMNS, LINES)
    stream = pyte.ByteStream(screen)
    for chunk in chunks:
        # The emulator does not know what dim is: it is told of another attribute that nothing here uses.
        stream.feed(re.sub(rb"\x1b\[2m", b"\x1b[9m", re.sub(rb"\x1b\[2;", b"\x1b[9;", chunk.data)))
    lines = [_line(screen.buffer[row]) for row in range(LINES)]
    while lines and not lines[-1].plain:
        lines.pop()
    return Text("\n").join(lines)


def drawn(middle: Text, end: Text, theme: TerminalTheme) -> str:
    """Both screens below each other as one SVG, which needs nothing from elsewhere."""
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=COLUMNS, file=nowhere, force_terminal=True, color_system="truecolor")
        console.print(Text.assemble(("$ ", "bold green"), " ".join(COMMAND)))
        console.print(middle)
        console.print()
        console.print(Text("a second later", style="dim italic"))
        console.print(end)
    svg = console.export_svg(title=" ".join(COMMAND), theme=theme, unique_id="run")
    # The frame is drawn for dark themes; this one is seen on both.
    return _with_system_fonts(svg.replace('stroke="rgba(255,255,255,0.35)"', 'stroke="rgba(128,128,128,0.4)"'))


def _line(cells: Any) -> Text:
    text = Text(no_wrap=True)
    for style, same in groupby((cells[column] for column in range(COLUMNS)), key=_style):
        text.append("".join(str(cell.data) for cell in same), style)
    text.rstrip()
    return text


def _style(cell: Any) -> Style:
    name = str(cell.fg)
    bright = name.startswith("bright")
    plain = name.removeprefix("bright")
    colour = None
    if plain in _COLOURS:
        colour = str(_COLOURS.index(plain) + (8 if bright else 0))
    style = Style(color=f"color({colour})" if colour is not None else None, bold=bool(cell.bold))
    return style + _DIM if cell.strikethrough else style


def _with_system_fonts(svg: str) -> str:
    """rich names a font to be fetched from elsewhere; a monospace font of the reader's does as well."""
    svg = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    fonts = "ui-monospace, 'SF Mono', 'Cascadia Mono', Menlo, Consolas, 'Liberation Mono', monospace"
    svg = re.sub(r"font-family: Fira Code, monospace", f"font-family: {fonts}", svg)
    return "\n".join(line.rstrip() for line in svg.splitlines() if line.strip()) + "\n"


def _on_a_terminal(command: Sequence[str], folder: str, environ: dict[str, str]) -> Iterator[Chunk]:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    start = time.monotonic()
    with subprocess.Popen(
        command, cwd=folder, env=environ, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    ) as process:
        os.close(theirs)
        # The other side of a terminal that nobody has open any more cannot be read.
        with contextlib.suppress(OSError):
            while True:
                ready, _, _ = select.select([ours], [], [], 60)
                data = os.read(ours, 65536) if ready else b""
                if not data:
                    break
                yield Chunk(at=time.monotonic() - start, data=data)
        os.close(ours)
        if process.wait():
            raise SystemExit(f"error: `{' '.join(command)}` ended with {process.returncode}")


def _must(command: Sequence[str], folder: str, environ: dict[str, str]) -> None:
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"error: `{' '.join(command)}` ended with {done.returncode}\n{done.stderr}")


if __name__ == "__main__":
    sys.exit(main())
