"""Wrong command lines and settings, through the entry point of the command line. One engine serves all of them."""

import asyncio
import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mistakes.catalogue import Mistake, mistakes
from tests.mistakes.conftest import Place
from tests.mistakes.test_submissions import live_runs
from volant.cli.main import main

HELLO = """\
import enum, volant
from dataclasses import dataclass
from datetime import date
env = volant.TaskEnvironment("hello")
class Colour(enum.Enum):
    RED = "r"
@dataclass
class Place:
    x: int
    y: int
@env.task
async def main(n: int = 1, name: str = "x", colour: Colour = Colour.RED, dry_run: bool = False) -> str:
    return name
@env.task
async def needs(number: int, numbers: list[int]) -> list[int]:
    return numbers
@env.task
async def days(day: date) -> None: ...
@env.task
async def places(place: Place) -> None: ...
"""


@pytest.fixture
def project(place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A folder with `hello.py`, which is as it was before when the test has ended."""
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("NO_COLOR", "1")
    (place.folder / "hello.py").write_text(HELLO)
    asyncio.run(live_runs())
    yield place
    for path in [*place.folder.iterdir(), place.home / "config.toml"]:
        if path.is_file():
            path.unlink()


def type_in(place: Place, written: str) -> int:
    """Put the files of an entry where they belong, and do its last line as a shell would; the exit code."""
    files: dict[str, list[str]] = {}
    *lines, command = written.splitlines()
    for line in lines:
        if line.startswith("--- "):
            found = files[line.removeprefix("--- ")] = []
        else:
            found.append(line)
    for name, content in files.items():
        path = place.home / Path(name).name if name.startswith("HOME/") else place.folder / name
        text = "\n".join(content).replace("\\0", "\0")
        path.write_bytes(b"\xff\xfe" if text == "BINARY" else text.encode())
    words = shlex.split(command.removeprefix("$ "))
    with pytest.MonkeyPatch.context() as monkeypatch:
        while "=" in words[0]:
            name, _, value = words.pop(0).partition("=")
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", words)
        # A program that has imported pydantic lets it say what is wrong with JSON; these have not.
        monkeypatch.delitem(sys.modules, "pydantic", raising=False)
        with pytest.raises(SystemExit) as ended:
            main()
    return ended.value.code if isinstance(ended.value.code, int) else 0


def without_source(text: str) -> str:
    """The text with the frames of a traceback, but not what Python shows of each, which differs between versions."""
    lines = text.splitlines()
    if lines[:1] == ["Traceback (most recent call last):"]:
        lines = [line for line in lines if line.startswith(("  File ", "Traceback", "error: ", "hint: "))]
    return "\n".join(line for line in lines if "<frozen importlib" not in line)


@pytest.mark.parametrize("mistake", [*mistakes("commands"), *mistakes("settings")])
def test_a_wrong_command_line_writes_nothing(
    project: Place, mistake: Mistake, capfd: pytest.CaptureFixture[str]
) -> None:
    if " known" in mistake.written:
        # Once in the session; another time its name is taken.
        type_in(project, "$ volant run --name known -q hello.py main")
        capfd.readouterr()
    before = project.written()
    code = type_in(project, mistake.written)
    out, err = capfd.readouterr()
    mistake.check(f"exit {code}\n{without_source(project.anonymous(err))}")
    assert out == ""
    # Where we stand in the stack is nothing that helps.
    assert os.path.join("src", "volant", "") not in err
    assert project.written() == before


@pytest.mark.parametrize("mistake", [*mistakes("commands"), *mistakes("settings")])
def test_every_answer_says_what_is_wrong_and_what_helps(mistake: Mistake) -> None:
    lines = mistake.answer.splitlines()
    # A file that cannot be imported is told with its own frames, which say where to look.
    is_own_traceback = "cannot be imported: " in mistake.answer
    if lines == ["exit 130"]:
        return
    assert any(line.startswith("error: ") for line in lines)
    assert (
        is_own_traceback
        or "expected a Python file" in mistake.answer
        or any(line.startswith("hint: ") for line in lines)
    )
