"""Homes with real engines, and programs that use them, as a user would run them."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 100.0
"""Seconds; nothing here takes a tenth of it unless it hangs."""


class User:
    """Somebody at a terminal with a home of their own."""

    def __init__(self, home: Path, folder: Path, **variables: str) -> None:
        self.home = home
        self.folder = folder
        kept = {name: value for name, value in os.environ.items() if not name.startswith("VOLANT_")}
        self.environ = {**kept, "VOLANT_HOME": str(home), "PYTHONWARNINGS": "error", **variables}

    def volant(self, *arguments: str, ok: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the command line."""
        return self._run([sys.executable, "-m", "volant", *arguments], ok=ok)

    def write(self, name: str, text: str) -> Path:
        """Write a file of the user's."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return path

    def python(self, text: str, *, name: str = "script.py", ok: bool = True) -> subprocess.CompletedProcess[str]:
        """Write a script and run it."""
        return self._run([sys.executable, str(self.write(name, text))], ok=ok)

    def start(self, *command: str) -> "subprocess.Popen[str]":
        """Start a program and do not wait."""
        return subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            env=self.environ,
            cwd=self.folder,
        )

    def processes(self) -> list[psutil.Process]:
        """Every process that knows this home: engine, zygotes, workers and what they started."""
        found: list[psutil.Process] = []
        for process in psutil.process_iter():
            try:
                if process.pid != os.getpid() and process.environ().get("VOLANT_HOME") == str(self.home):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def stop(self) -> None:
        """End the engine and see that nothing is left."""
        self.volant("engine", "stop", "--abort-runs", ok=False)
        gone, alive = psutil.wait_procs(self.processes(), timeout=10)
        del gone
        left = [(process.pid, process.cmdline()) for process in alive]
        for process in alive:
            process.send_signal(signal.SIGKILL)
        assert left == []

    def _run(self, command: list[str], *, ok: bool) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            env=self.environ,
            cwd=self.folder,
            timeout=PATIENCE,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        if ok and done.returncode != 0:
            pytest.fail(f"{command} ended with {done.returncode}\n{done.stdout}\n{done.stderr}", pytrace=False)
        return done


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    """A user whose engine serves all tests of a module."""
    found = User(tmp_path_factory.mktemp("h") / "home", tmp_path_factory.mktemp("project"))
    yield found
    found.stop()


@pytest.fixture
def new_user(tmp_path: Path) -> Iterator[Callable[..., User]]:
    """Makes users who share nothing, with settings as `VOLANT_*` variables."""
    made: list[User] = []

    def make(**variables: str) -> User:
        folder = tmp_path / f"project{len(made)}"
        folder.mkdir()
        made.append(User(tmp_path / f"home{len(made)}", folder, **variables))
        return made[-1]

    yield make
    for one in made:
        one.stop()


def output(done: "subprocess.CompletedProcess[str]") -> object:
    """The only output of a run that the command line printed with `-o json`."""
    return json.loads(done.stdout)["outputs"]["o0"]


def result(done: "subprocess.CompletedProcess[str]") -> object:
    """What a program printed as JSON on its last line."""
    return json.loads(done.stdout.strip().splitlines()[-1])
