"""pyright and mypy, both strict, see the signatures of tasks through everything that makes and changes tasks."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FILES = ["calls_that_fit.py", "calls_that_do_not_fit.py", "looking_up.py", "recording.py"]


def _passes(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", FILES)
def test_pyright_agrees(name: str, tmp_path: Path) -> None:
    settings = {
        # One at a time: after a call of `volant.map` that does not fit, pyright doubts fitting ones of other files.
        "include": [os.path.relpath(HERE / name, tmp_path)],
        "typeCheckingMode": "strict",
        "reportUnnecessaryTypeIgnoreComment": "error",
        # What is ignored for mypy is not ignored here.
        "enableTypeIgnoreComments": False,
    }
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    command = (sys.executable, "-m", "pyright", "--project", str(tmp_path), "--pythonpath", sys.executable)
    report = json.loads(_passes(*command, "--outputjson"))
    assert report["summary"]["filesAnalyzed"] == 1


@pytest.mark.timeout(600)
def test_mypy_agrees(tmp_path: Path) -> None:
    strict = ("--config-file=", "--strict", "--warn-unused-ignores", f"--cache-dir={tmp_path}")
    _passes(sys.executable, "-m", "mypy", *strict, *(str(HERE / name) for name in FILES))
