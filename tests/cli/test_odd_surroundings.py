"""Commands where streams are closed, or the folder that one stands in is gone."""

import shlex
import subprocess
import sys

import pytest

from tests.cli.conftest import PATIENCE, Person

VOLANT = f"{shlex.quote(sys.executable)} -m volant"


def shell(person: Person, command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", command],
        cwd=person.folder,
        env=person.environ,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_may_be_closed(person: Person, closed: str) -> None:
    done = shell(person, f"exec 3>&1; {VOLANT} run one.py single {closed}; echo code $? >&3")
    assert done.stdout.splitlines()[-1] == "code 0"
    assert "Traceback" not in done.stderr


def test_a_list_is_asked_for_though_nobody_reads_it(person: Person) -> None:
    done = shell(person, f"{VOLANT} get runs >&-")
    assert (done.returncode, done.stdout) == (0, "")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["run json", "init"])
def test_a_folder_that_is_gone_is_said(person: Person, command: str) -> None:
    done = shell(person, f"mkdir gone && cd gone && rmdir ../gone && {VOLANT} {command}")
    assert done.returncode != 0
    assert done.stderr.splitlines() == [
        "error: the current folder cannot be used: No such file or directory",
        "hint: cd into one that is there",
    ]


def test_a_file_that_hides_a_module_of_python_s_is_named(person: Person) -> None:
    done = shell(person, f"mkdir -p hides && cd hides && echo 'x = 1' > random.py && {VOLANT} run random.py main")
    assert done.returncode == 1
    error, hint = done.stderr.splitlines()
    assert error.startswith("error: Volant itself cannot be imported: cannot import name 'Random' from 'random'")
    assert hint == f"hint: {person.folder / 'hides' / 'random.py'} hides a module of Python's: rename it"
