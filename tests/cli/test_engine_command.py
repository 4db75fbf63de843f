"""`volant engine ...`, and the database that an engine keeps its journal in."""

import json
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.cli.conftest import PROJECT, Person
from volant.cli.engine import log_lines


@pytest.fixture(scope="module")
def owner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    """Somebody whose engine nobody else asks anything."""
    folder = tmp_path_factory.mktemp("p")
    (folder / "one.py").write_text(PROJECT["one.py"].replace("\n        ", "\n"))
    found = Person(tmp_path_factory.mktemp("h") / "home", folder)
    yield found
    done = found.types("engine", "stop", "--abort-runs")
    assert done.returncode == 0, done.stderr


def test_an_engine_is_started_once_and_told_apart_from_one_that_ran(owner: Person) -> None:
    assert json.loads(owner.types("engine", "status", "-o", "json").stdout) == {
        "running": False,
        "home": str(owner.home),
    }
    first = json.loads(owner.types("engine", "start", "-o", "json").stdout)
    assert (first["running"], first["started"], first["clients"]) == (True, True, 0)
    second = owner.types("engine", "start")
    assert (second.returncode, second.stdout) == (0, "")
    assert second.stderr == f"the engine of {owner.home} runs already, process {first['pid']}\n"


def test_settings_that_an_engine_does_not_heed_are_named(owner: Person) -> None:
    assert owner.types("engine", "start", VOLANT_CAPACITY_PROCESSES="512").returncode == 0
    lines = owner.types("engine", "status", VOLANT_CAPACITY_PROCESSES="7").stdout
    assert "it started with capacity.processes 512, set now 7; volant engine stop lets the next one heed it" in lines
    assert "note" not in owner.types("engine", "status").stdout
    shown = json.loads(owner.types("doctor", "-o", "json", VOLANT_CAPACITY_PROCESSES="7").stdout)["findings"]
    assert {each["name"]: each["verdict"] for each in shown}["engine"] == "warning"


def test_an_engine_that_was_stopped_is_gone_and_its_zygotes_too(owner: Person) -> None:
    owner.types("run", "one.py")
    shown = json.loads(owner.types("engine", "status", "-o", "json").stdout)
    pids = [shown["pid"], *(zygote["pid"] for zygote in shown["zygotes"])]
    assert len(pids) > 1
    processes = [psutil.Process(pid) for pid in pids]
    owner.types("engine", "stop")
    assert not [process for process in processes if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


def test_stopping_is_told_to_programs(owner: Person) -> None:
    owner.types("engine", "start")
    for stopped in (True, False):
        done = owner.types("engine", "stop", "-o", "json")
        assert json.loads(done.stdout) == {"home": str(owner.home), "stopped": stopped}


def test_a_journal_lies_where_the_database_says_and_has_one_engine(owner: Person, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'kept' / 'runs.db'}"
    (tmp_path / "kept").mkdir()
    other = Person(tmp_path / "other", owner.folder)
    try:
        assert other.types("run", "one.py", VOLANT_DATABASE=url).stdout == "1.0\n"
        assert (tmp_path / "kept" / "runs.db").exists()
        assert not (tmp_path / "other" / "journal.db").exists()
        owner.types("engine", "stop")
        refused = owner.types("engine", "start", VOLANT_DATABASE=url)
        assert refused.returncode == 1
        assert f"the journal {tmp_path / 'kept' / 'runs.db'} is written by the engine of another home" in refused.stderr
    finally:
        other.types("engine", "stop")


def test_an_engine_that_keeps_its_journal_elsewhere_is_not_asked(owner: Person) -> None:
    assert owner.types("engine", "start").returncode == 0
    for arguments in (["get", "runs"], ["run", "one.py"]):
        done = owner.types(*arguments, VOLANT_DATABASE="sqlite:///other.db")
        assert (done.returncode, done.stdout) == (1, "")
        wanted = f"wanted {owner.home / 'other.db'} (from VOLANT_DATABASE)"
        assert f"started with database {owner.home / 'journal.db'}, {wanted}" in done.stderr
        assert "hint: volant engine stop" in done.stderr
    assert owner.types("engine", "stop", VOLANT_DATABASE="sqlite:///other.db").returncode == 0


@pytest.mark.parametrize("url", ["mysql://me:hunter2@host/name", "sqlite://host/x.db", "sqlite:///", "mysql:///x"])
def test_a_database_that_there_is_no_way_to_is_refused(owner: Person, url: str) -> None:
    done = owner.types("run", "one.py", VOLANT_DATABASE=url)
    assert (done.returncode, done.stdout) == (1, "")
    assert "error: database (from VOLANT_DATABASE): found " in done.stderr
    assert "wanted a SQLite file as sqlite:///name.db (in the home)" in done.stderr
    assert "hunter2" not in done.stderr


def test_looking_at_settings_starts_no_engine(owner: Person, tmp_path: Path) -> None:
    for arguments in (["get", "settings"], ["doctor"]):
        assert owner.types("--home", str(tmp_path / "none"), *arguments).returncode == 0
    assert not (tmp_path / "none").exists()


def test_the_module_is_the_same_command_with_the_same_name(owner: Person) -> None:
    shown = owner.types("get", "settings", "--help").stdout
    assert "Usage: volant get settings [OPTIONS] [NAME]" in " ".join(shown.split())
    wrong = owner.types("get", "settings", "--nothing").stderr
    assert "volant get settings" in wrong
    assert "python" not in wrong


class TestLog:
    def test_the_last_lines_are_given(self, tmp_path: Path) -> None:
        path = tmp_path / "engine.log"
        path.write_text("a\nb\nc\n")
        assert list(log_lines(path, last=2, pause=None)) == ["b\n", "c\n"]
        assert list(log_lines(path, last=0, pause=None)) == []
        assert list(log_lines(tmp_path / "none", last=2, pause=None)) == []

    def test_what_follows_is_given_also_when_the_file_is_made_or_cut_meanwhile(self, tmp_path: Path) -> None:
        path = tmp_path / "engine.log"
        changes = iter(["long line\n", "long line\nmore\n", "cut\n"])
        lines = log_lines(path, last=10, pause=lambda: path.write_text(next(changes)))
        assert [next(lines) for _ in range(3)] == ["long line\n", "more\n", "cut\n"]
