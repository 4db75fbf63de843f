"""The catalogue of mistakes: text files by theme, an entry being what somebody wrote and what they are told.

::

    == retries below zero
        @env.task(retries=-1)
        def job() -> None: ...
    DefinitionError: @env.task of TaskEnvironment 'env': retries is -1, expected an int, 0 or more
    hint: ...

What is indented was written; what follows, up to the next `==`, is the answer, word for word. In an entry of the
command line a line `$ volant ...` stands for the answer to that command, and `--- NAME` puts what follows into a file.
Lines before the first `==` say what a theme is about.

`MISTAKES=accept pytest tests/mistakes` writes down what is answered today. Read the difference before it is committed:
it is what users will read.
"""

import difflib
import os
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
ACCEPTING = os.environ.get("MISTAKES") == "accept"


@dataclass(frozen=True)
class Mistake:
    """One entry."""

    theme: str
    name: str
    written: str
    answer: str
    first: int
    """The line of the file at which the answer starts, from 0; `last` is one past its end."""
    last: int

    @property
    def path(self) -> Path:
        return FOLDER / f"{self.theme}.txt"

    def check(self, said: str) -> None:
        """Fail with a readable difference, unless the answer is what was *said*."""
        said = "\n".join(line.rstrip() for line in said.strip("\n").splitlines())
        if said == self.answer:
            return
        if ACCEPTING:
            _accepted.setdefault(self.path, {})[self] = said
            return
        lines = difflib.ndiff(self.answer.splitlines(), said.splitlines())
        told = "\n".join(
            ["", *textwrap.indent(self.written, "    ").splitlines(), "", *(line.rstrip() for line in lines)]
        )
        pytest.fail(f"{self.path.name}:{self.first + 1}: {self.name} (-: expected, +: found)\n{told}", pytrace=False)


_accepted: dict[Path, dict[Mistake, str]] = {}


def mistakes(theme: str) -> list[object]:
    """The entries of a theme, as parameters of a test."""
    return [pytest.param(entry, id=entry.name.replace(" ", "-")) for entry in read(theme)]


def read(theme: str) -> list[Mistake]:
    """The entries of a theme, in order."""
    lines = (FOLDER / f"{theme}.txt").read_text(encoding="utf-8").splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith("== ")]
    return [_entry(theme, lines, start, end) for start, end in zip(starts, [*starts[1:], len(lines)], strict=True)]


def _entry(theme: str, lines: list[str], start: int, end: int) -> Mistake:
    while end > start + 1 and not lines[end - 1].strip():
        end -= 1
    first = start + 1
    while first < end and (not lines[first].strip() or lines[first].startswith("    ")):
        first += 1
    return Mistake(
        theme=theme,
        name=lines[start].removeprefix("== "),
        written=textwrap.dedent("\n".join(lines[start + 1 : first])).strip("\n"),
        answer="\n".join(lines[first:end]),
        first=first,
        last=end,
    )


def write_accepted() -> None:
    """Put the answers that were accepted into the files."""
    for path, changes in _accepted.items():
        lines = path.read_text(encoding="utf-8").splitlines()
        for entry, said in sorted(changes.items(), key=lambda change: -change[0].first):
            lines[entry.first : entry.last] = said.splitlines()
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    _accepted.clear()
