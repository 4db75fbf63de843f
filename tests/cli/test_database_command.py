"""`volant db`: what a person sees, on SQLite and on Postgres."""

import json
import os
from pathlib import Path

import pytest

from volant.cli.table import run_command_line
from volant.journal.postgres.opening import MIGRATIONS as ON_POSTGRES
from volant.journal.sqlite.opening import MIGRATIONS as ON_SQLITE
from volant.testing.postgres_server import PostgresServer


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    monkeypatch.setenv("VOLANT_HOME", str(folder))
    monkeypatch.chdir(tmp_path)
    return folder


def types(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = run_command_line(["db", *arguments])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_a_home_is_upgraded_checked_and_backed_up(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = str(home / "journal.db")
    code, _, said = types(capsys, "check")
    assert code == 1
    assert "no such file" in said
    version = len(ON_SQLITE)
    assert types(capsys, "upgrade") == (0, "", f"{place} was version 0, now {version}\n")
    assert types(capsys, "upgrade") == (0, "", f"{place} has version {version} already\n")
    code, out, _ = types(capsys, "upgrade", "-o", "json")
    assert json.loads(out) == {"database": place, "before": version, "after": version}
    assert types(capsys, "check") == (0, "", f"{place}: 0 runs, 0 actions, 0 changes, no problem\n")
    code, out, _ = types(capsys, "check", "-o", "json")
    assert json.loads(out) == {"database": place, "runs": 0, "actions": 0, "changes": 0, "problems": []}
    code, _, said = types(capsys, "backup", "copy.db")
    assert code == 0
    assert said.startswith("wrote copy.db (")
    assert Path("copy.db").read_bytes().startswith(b"SQLite format 3")
    code, _, said = types(capsys, "backup", "copy.db")
    assert code == 1
    assert "is there already" in said


def test_a_problem_is_printed_and_told_by_the_exit_code(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import sqlite3

    types(capsys, "upgrade")
    with sqlite3.connect(home / "journal.db") as db:
        db.execute("DROP INDEX runs_by_age")
    db.close()
    code, out, said = types(capsys, "check")
    assert code == 1
    assert out == "the schema: index runs_by_age is missing\n"
    assert said.endswith("1 problems\n")


@pytest.mark.usefixtures("home")
def test_a_database_is_upgraded_checked_and_backed_up(
    postgres: PostgresServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgres.new_database()
    monkeypatch.setenv("VOLANT_DATABASE", url)
    monkeypatch.setenv("PATH", f"{postgres.programs}{os.pathsep}{os.environ['PATH']}")
    version = len(ON_POSTGRES)
    code, _, said = types(capsys, "check")
    assert code == 1
    assert "version 0" in said
    assert "hint: run `volant db upgrade`" in said
    assert types(capsys, "upgrade") == (0, "", f"{url} was version 0, now {version}\n")
    assert types(capsys, "check") == (0, "", f"{url}: 0 runs, 0 actions, 0 changes, no problem\n")
    code, _, said = types(capsys, "backup", "copy.dump")
    assert code == 0
    assert Path("copy.dump").read_bytes().startswith(b"PGDMP")


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("command", [["upgrade"], ["check"], ["backup", "copy"]])
def test_a_server_that_is_not_there_is_told_without_the_password(
    command: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOLANT_DATABASE", "postgresql://me:hunter2@127.0.0.1:1/name")
    monkeypatch.setenv("PATH", "/nowhere")
    code, out, said = types(capsys, *command)
    assert code == 1
    assert out == ""
    assert "postgresql://me@127.0.0.1:1/name" in said
    assert "hint: " in said
    assert "hunter2" not in said


@pytest.mark.usefixtures("home")
def test_without_psycopg_the_extra_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setenv("VOLANT_DATABASE", "postgresql://host/name")
    for name in [name for name in sys.modules if name.startswith(("volant.journal.postgres", "psycopg"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    code, _, said = types(capsys, "check")
    assert code == 1
    assert "needs the package psycopg" in said
    assert "hint: pip install 'volant[postgres]'" in said
