"""What a shell is told when Tab is pressed: never an engine, never the user's code, never an error."""

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import PATIENCE
from tests.cli.typing_commands import Terminal, terminal
from volant.cli import completing
from volant.cli.completing import complete
from volant.cli.outlining import outline_tasks
from volant.cli.table import COMMANDS
from volant.journal.postgres import PostgresJournal
from volant.journal.postgres.peeking import PostgresPeek
from volant.journal.sqlite.journal import SqliteJournal
from volant.journal.sqlite.peeking import peek
from volant.kit.homes import journal_path
from volant.model.phases import ActionPhase
from volant.model.records import Batch
from volant.settings.catalogue import SETTINGS
from volant.testing.journal import action_id, sample_action, sample_run
from volant.testing.postgres_server import PostgresServer

__all__ = ["terminal"]

FILE = '''
import volant
raise RuntimeError("imported")

env = volant.TaskEnvironment(name="e")

@env.task
async def first(n: int, dry_run: bool = False, *, source: "Path" = None) -> int:
    """The first one.

    More of it.
    """

if True:
    @env.task(entrypoint=True)
    def second(text: str = "x"): ...

def helper(): ...

class Holder:
    @env.task
    def hidden(self): ...
'''


Completes = Callable[..., list[str]]


@pytest.fixture
def completes(terminal: Terminal, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Completes:
    (terminal.folder / "tasks.py").write_text(FILE)

    def ask(*words: str) -> list[str]:
        monkeypatch.setenv("COMP_WORDS", " ".join(("volant", *words)))
        monkeypatch.setenv("COMP_CWORD", str(len(words)))
        complete("bash_complete")
        out, err = capsys.readouterr()
        assert err == ""
        return [line.partition(",")[2] for line in out.splitlines() if line]

    return ask


@pytest.fixture
def journal(terminal: Terminal) -> Path:
    """Two runs of the past and one with two actions."""

    async def fill() -> None:
        opened = await SqliteJournal.open(journal_path(terminal.home))
        runs = (
            sample_run("calm-heron", age=1, phase=ActionPhase.SUCCEEDED),
            sample_run("calm-otter", age=2, phase=ActionPhase.FAILED, task="e.other"),
            sample_run("bold-wren", age=3),
        )
        actions = tuple(sample_action(number, run="bold-wren") for number in (1, 2))
        await opened.commit(Batch(runs=runs, actions=actions))
        await opened.close()

    asyncio.run(fill())
    return journal_path(terminal.home)


class TestCommands:
    def test_commands_are_named(self, completes: Completes) -> None:
        assert completes("") == list(COMMANDS)
        assert completes("co") == ["completion"]

    def test_a_command_that_there_is_not_has_no_words(self, completes: Completes) -> None:
        assert completes("nonsense", "") == list(COMMANDS)

    def test_commands_below_a_command_are_named(self, completes: Completes) -> None:
        assert completes("engine", "st") == ["start", "status", "stop"]

    def test_options_are_named(self, completes: Completes) -> None:
        assert completes("doctor", "--o") == ["--output"]
        assert completes("doctor", "--output", "") == ["text", "json"]

    def test_settings_are_named(self, completes: Completes, terminal: Terminal) -> None:
        (terminal.home / "config.toml").write_text("[queues.gpu]\npriority = 1")
        assert completes("get", "settings", "") == [*SETTINGS, "queues.gpu"]
        assert completes("get", "settings", "capacity.c") == ["capacity.cpu"]

    def test_settings_are_named_where_they_cannot_be_read(self, completes: Completes, terminal: Terminal) -> None:
        (terminal.home / "config.toml").write_text("[queues")
        assert completes("get", "settings", "") == list(SETTINGS)

    def test_modes_and_queues_are_named(self, completes: Completes, terminal: Terminal) -> None:
        (terminal.home / "config.toml").write_text("[queues.gpu]\npriority = 1")
        assert completes("run", "--mode", "l") == ["local"]
        assert completes("run", "--queue", "") == ["gpu"]


class TestRuns:
    def test_the_newest_runs_come_first(self, completes: Completes, journal: Path) -> None:
        assert completes("attach", "") == ["bold-wren", "calm-otter", "calm-heron"]

    def test_names_that_begin_so_are_found(self, completes: Completes, journal: Path) -> None:
        assert completes("get", "run", "calm") == ["calm-heron", "calm-otter"]

    def test_tasks_of_runs_are_named(self, completes: Completes, journal: Path) -> None:
        assert completes("get", "runs", "--task", "") == ["e.other", "flights.main"]

    def test_actions_of_a_run_are_found_by_the_beginning_of_both_names(self, journal: Path) -> None:
        with peek(journal, seconds=PATIENCE) as found:
            assert found is not None
            wanted = sorted(action_id(number) for number in (1, 2))
            assert sorted(glimpse.name for glimpse in found.actions("bold", "", limit=9)) == wanted
            for length in (1, 4, 5, 32):
                (only,) = found.actions("bold-wren", wanted[0][:length], limit=9)
                assert (only.name, only.task, only.phase) == (wanted[0], "flights.delays", "QUEUED")
            assert found.actions("calm", "", limit=9) == []

    def test_an_action_is_named_where_a_run_is_rerun_from_one(self, completes: Completes, journal: Path) -> None:
        wanted = [action_id(number)[:12] for number in (1, 2)]
        assert sorted(completes("rerun", "bold-wren", "--from", "")) == sorted(wanted)

    def test_a_home_that_is_named_is_looked_into(self, completes: Completes, journal: Path, tmp_path: Path) -> None:
        assert completes("--home", str(tmp_path / "other"), "attach", "") == []
        assert completes("--home", str(journal.parent), "attach", "b") == ["bold-wren"]

    def test_no_home_no_words_and_nothing_made(self, completes: Completes, tmp_path: Path) -> None:
        assert completes("--home", str(tmp_path / "none"), "attach", "") == []
        assert not (tmp_path / "none").exists()

    @pytest.mark.parametrize("content", [b"", b"not a database" * 100])
    def test_a_journal_that_cannot_be_read_is_silence(
        self, completes: Completes, terminal: Terminal, content: bytes
    ) -> None:
        journal_path(terminal.home).write_bytes(content)
        assert completes("attach", "") == []

    def test_settings_that_cannot_be_read_are_silence(self, completes: Completes, terminal: Terminal) -> None:
        (terminal.home / "config.toml").write_text("mode = ")
        assert completes("attach", "") == []

    def test_a_look_that_takes_too_long_is_given_up(self, journal: Path) -> None:
        slow = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
        with peek(journal, seconds=0) as found:
            assert found is not None
            with pytest.raises(sqlite3.OperationalError, match="interrupted"):
                found._connection.execute(slow).fetchall()

    def test_a_look_writes_nothing(self, journal: Path) -> None:
        with peek(journal, seconds=PATIENCE) as found:
            assert found is not None
            with pytest.raises(sqlite3.OperationalError, match="readonly"):
                found._connection.execute("DELETE FROM runs")


class TestServer:
    def test_runs_tasks_and_actions_on_a_server_are_named(
        self, completes: Completes, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        url = postgres.new_database()

        async def fill() -> None:
            opened = await PostgresJournal.open(url)
            runs = (sample_run("calm-otter", task="e.other", age=5), sample_run("bold-wren", task="flights.main"))
            await opened.commit(Batch(runs=runs, actions=(sample_action(1, run="bold-wren"),)))
            await opened.close()

        asyncio.run(fill())
        monkeypatch.setenv("VOLANT_DATABASE", url)
        monkeypatch.setattr(completing, "_PATIENCE", PATIENCE)
        assert set(completes("attach", "")) == {"bold-wren", "calm-otter"}
        assert completes("get", "run", "calm") == ["calm-otter"]
        assert completes("get", "runs", "--task", "") == ["e.other", "flights.main"]
        peek = PostgresPeek(url, seconds=PATIENCE)
        for prefix in ("", action_id(1)[:5]):
            assert [glimpse.name for glimpse in peek.actions("bold", prefix, limit=9)] == [action_id(1)]
        assert peek.actions("none", "", limit=9) == []

    @pytest.mark.parametrize("url", ["postgresql://me@127.0.0.1:1/name", "postgresql://host.invalid/name"])
    def test_a_server_that_is_away_is_silence(
        self, completes: Completes, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("VOLANT_DATABASE", url)
        assert completes("attach", "") == []


class TestTasks:
    def test_tasks_of_a_file_are_named_without_importing_it(self, completes: Completes) -> None:
        assert completes("run", "tasks.py", "") == ["first", "second"]
        assert completes("run", "tasks.py", "f") == ["first"]

    def test_the_task_is_known_behind_options_of_the_run_too(self, completes: Completes) -> None:
        assert completes("run", "tasks.py", "--follow", "-o", "json", "first", "--dr") == ["--dry-run"]

    def test_a_file_is_a_file(self, completes: Completes) -> None:
        assert completes("run", "ta") == ["ta"]

    def test_options_of_a_task_come_before_ours(self, completes: Completes) -> None:
        found = completes("run", "tasks.py", "first", "--")
        assert found[:4] == ["--n", "--dry-run", "--no-dry-run", "--source"]
        assert "--detach" in found

    def test_without_a_task_the_options_are_those_of_the_entrypoint(self, completes: Completes) -> None:
        assert completes("run", "tasks.py", "--te") == ["--text"]

    def test_an_option_is_not_named_twice(self, completes: Completes) -> None:
        assert "--n" not in completes("run", "tasks.py", "first", "--n", "3", "--")

    def test_a_value_that_is_a_path_is_a_file_and_others_are_unknown(self, completes: Completes) -> None:
        assert completes("run", "tasks.py", "first", "--source", "x") == ["x"]
        assert completes("run", "tasks.py", "first", "--n", "") == []

    def test_what_is_told_of_a_task_is_in_its_text(self, tmp_path: Path) -> None:
        path = tmp_path / "tasks.py"
        path.write_text(FILE)
        first, second = outline_tasks(path)
        assert first.summary == "The first one."
        assert dict(first.options) == {
            "--n": "int, required",
            "--dry-run": "bool, default: False",
            "--no-dry-run": "bool, default: False",
            "--source": "'Path', default: None",
        }
        assert (second.is_entrypoint, first.is_entrypoint) == (True, False)

    @pytest.mark.parametrize("text", ["def (", "\0", "x = " + "(" * 5000])
    def test_a_file_that_is_no_python_has_no_tasks(self, tmp_path: Path, text: str) -> None:
        path = tmp_path / "tasks.py"
        path.write_text(text)
        assert outline_tasks(path) == []
        assert outline_tasks(tmp_path / "none.py") == []


class TestScripts:
    @pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
    def test_a_script_asks_for_words(self, terminal: Terminal, shell: str) -> None:
        found = terminal.types("completion", shell)
        assert found.code == 0
        assert f"_VOLANT_COMPLETE={shell}_complete" in found.out

    def test_an_unknown_shell_is_a_mistake(self, terminal: Terminal) -> None:
        found = terminal.types("completion", "tcsh")
        assert found.code == 2
        assert "'tcsh' is not one of 'bash', 'zsh', 'fish'" in " ".join(found.err.split())

    def test_bash_itself_completes(self, terminal: Terminal, completes: Completes) -> None:
        script = (
            'eval "$(volant completion bash)"; COMP_WORDS=(volant run tasks.py f); COMP_CWORD=3; '
            '_volant_completion volant; echo "${COMPREPLY[@]}"'
        )
        assert self.asked(terminal, "bash", "--norc", "-c", script) == "first\n"

    def test_fish_itself_completes_with_the_whole_of_what_a_word_means(self, terminal: Terminal) -> None:
        script = "volant completion fish | source; complete -C 'volant get runs --lim'; complete -C 'volant get ru'"
        assert self.asked(terminal, "fish", "--no-config", "-c", script).splitlines() == [
            "--limit\tSo many, newest first.",
            "run\tShow one run: how it stands, its actions, and why they wait.",
            "runs\tList runs, newest first.",
        ]

    def asked(self, terminal: Terminal, shell: str, *arguments: str) -> str:
        """What a real shell says, with `volant` on its path."""
        found = shutil.which(shell)
        if found is None:
            pytest.skip(f"{shell} is not installed")
        folder = terminal.folder / "bin"
        folder.mkdir()
        (folder / "volant").write_text(f'#!/bin/sh\nexec {sys.executable} -m volant "$@"\n')
        (folder / "volant").chmod(0o755)
        done = subprocess.run(
            [found, *arguments],
            cwd=terminal.folder,
            env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "HOME": str(terminal.folder)},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.stderr == ""
        return done.stdout
