"""Commands in this process: for those that need no engine, a tenth of the time of a process of their own."""

from pathlib import Path
from typing import NamedTuple

import pytest

from volant.api.program import program
from volant.cli.table import run_command_line


class Answer(NamedTuple):
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str


class Terminal:
    """A folder to stand in, and a home."""

    def __init__(
        self, home: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.home = home
        self.folder = folder
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def types(self, *arguments: str, **variables: str) -> Answer:
        """What `volant ARGUMENTS` does."""
        with self._monkeypatch.context() as patched:
            for name, value in variables.items():
                patched.setenv(name, value)
            patched.setattr(program, "flags", {})
            code = run_command_line(arguments)
        out, err = self._capsys.readouterr()
        return Answer(code, out, err)


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Terminal:
    home, folder = (tmp_path / "home").resolve(), (tmp_path / "folder").resolve()
    for each in (home, folder):
        each.mkdir(mode=0o700)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.setenv("VOLANT_HOME", str(home))
    monkeypatch.setenv("COLUMNS", "120")
    return Terminal(home, folder, monkeypatch, capsys)
