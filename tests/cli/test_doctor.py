"""`volant doctor`: every line says how things are, and what follows where they are not well."""

import json
import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.typing_commands import Terminal, terminal
from volant.cli.checkup import isolation, machine, service, software, storage
from volant.cli.checkup.findings import Finding, Verdict, worst
from volant.journal.sqlite.opening import MIGRATIONS as ON_SQLITE
from volant.settings.loading import load_settings
from volant.testing.postgres_server import PostgresServer

__all__ = ["terminal"]

NAMES = {
    "machine": ["python", "platform", "cores", "memory", "gpus"],
    "isolation": ["fork", "subreaper", "pidfd", "cgroups"],
    "home": ["folder", "file system", "free space", "commits", "sqlite", "journal"],
    "volant": ["version", "settings", "engine", "completion"],
    "software": ["uv", "containers", "numpy", "pandas", "polars", "pyarrow", "ray", "kubernetes"],
}


def report(terminal: Terminal, **variables: str) -> tuple[int, dict[str, dict[str, str]], str]:
    found = terminal.types("doctor", "-o", "json", **variables)
    shown = json.loads(found.out)
    return found.code, {each["name"]: each for each in shown["findings"]}, shown["verdict"]


def write_tool(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


class TestReport:
    def test_everything_is_looked_at(self, terminal: Terminal) -> None:
        code, found, verdict = report(terminal)
        assert [(each["group"], name) for name, each in found.items()] == [
            (group, name) for group, names in NAMES.items() for name in names
        ]
        assert all(each["found"] for each in found.values())
        assert all(each["follows"] for each in found.values() if each["verdict"] != "ok")
        assert (code, verdict != "problem") == (0, True)

    def test_people_read_what_follows(self, terminal: Terminal) -> None:
        found = terminal.types("doctor", SHELL="/bin/bash")
        lines = [line.strip() for line in found.out.splitlines()]
        start = next(number for number, line in enumerate(lines) if line.startswith("completion"))
        assert lines[start].split() == ["completion", "missing", "not", "set", "up", "for", "bash"]
        assert lines[start + 1] == "volant completion --help says how to set it up for bash"
        assert lines[-1].startswith("Volant works here")

    def test_nothing_is_made(self, terminal: Terminal, tmp_path: Path) -> None:
        before = sorted(terminal.home.iterdir())
        assert terminal.types("--home", str(tmp_path / "none"), "doctor").code == 0
        assert not (tmp_path / "none").exists()
        assert sorted(terminal.home.iterdir()) == before

    def test_bad_settings_make_volant_unusable_and_the_rest_is_told_all_the_same(self, terminal: Terminal) -> None:
        code, found, verdict = report(terminal, VOLANT_MODE="lokal")
        assert (code, verdict) == (1, "problem")
        assert found["settings"]["found"].startswith("VOLANT_MODE: mode: found 'lokal'")
        assert found["folder"]["found"] == str(terminal.home)
        assert found["engine"]["verdict"] == "warning"

    def test_a_database_that_cannot_be_used_is_a_problem(self, terminal: Terminal) -> None:
        code, found, _verdict = report(terminal, VOLANT_DATABASE="mysql://me:hunter2@host/name")
        assert code == 1
        assert found["settings"]["verdict"] == "problem"
        assert "hunter2" not in json.dumps(found)

    def test_a_home_that_is_a_file_is_a_problem(self, terminal: Terminal) -> None:
        file = terminal.folder / "file"
        file.touch()
        found = terminal.types("--home", str(file), "doctor")
        assert found.code == 1
        assert f"{file} is not a folder" in found.out
        assert found.out.splitlines()[-1] == "Volant cannot be used here: folder."


class TestMachine:
    def test_more_capacity_than_there_is_is_a_warning(self, tmp_path: Path) -> None:
        variables = {"VOLANT_CAPACITY_CPU": "10000", "VOLANT_CAPACITY_MEMORY": "1Ei", "VOLANT_HOME": str(tmp_path)}
        capacity = load_settings(environ=variables, use_project=False).capacity
        cores, memory = machine.check_cores(capacity), machine.check_memory(capacity)
        assert (cores.verdict, memory.verdict) == (Verdict.WARNING, Verdict.WARNING)
        assert "capacity.cpu is 10000" in cores.follows

    def test_less_capacity_is_said(self, tmp_path: Path) -> None:
        variables = {"VOLANT_CAPACITY_CPU": "1m", "VOLANT_CAPACITY_MEMORY": "1Mi", "VOLANT_HOME": str(tmp_path)}
        capacity = load_settings(environ=variables, use_project=False).capacity
        assert machine.check_cores(capacity).found.endswith("0.001 by capacity.cpu")
        assert machine.check_memory(capacity).found.endswith("1.0 MiB by capacity.memory")

    def test_no_gpu_is_nothing_to_warn_of(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(machine, "visible_gpus", lambda _environ: 0)
        assert machine.check_gpus({"PATH": str(tmp_path)}).verdict is Verdict.MISSING

    def test_gpus_are_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(machine, "visible_gpus", lambda _environ: 1)
        write_tool(tmp_path, "nvidia-smi", "echo 'Model A, 80 GiB'; echo 'Model B, 40 GiB'")
        found = machine.check_gpus({"PATH": str(tmp_path)})
        assert (found.verdict, found.found) == (Verdict.OK, "Model A 80 GiB, Model B 40 GiB (1 visible here)")

    def test_a_driver_that_does_not_work_is_a_warning(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(machine, "visible_gpus", lambda _environ: 1)
        write_tool(tmp_path, "nvidia-smi", "echo 'driver mismatch' >&2; exit 18")
        found = machine.check_gpus({"PATH": str(tmp_path)})
        assert (found.verdict, found.follows) == (Verdict.WARNING, "nvidia-smi does not work: driver mismatch")

    def test_an_embedded_interpreter_is_a_problem(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "executable", "")
        assert machine.check_python().verdict is Verdict.PROBLEM


class TestIsolation:
    def test_a_group_that_takes_none_below_it_is_not_writable(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "cgroup.procs").touch()
        monkeypatch.setattr(isolation, "own_cgroups", lambda _controller: iter([tmp_path]))
        assert isolation.check_cgroups().found == "writable: v1 memory"
        assert sorted(tmp_path.iterdir()) == [tmp_path / "cgroup.procs"]
        monkeypatch.setattr(isolation, "own_cgroups", lambda _controller: iter([tmp_path / "gone"]))
        assert isolation.check_cgroups().found == "none mounted"

    def test_no_handle_of_a_process_is_missing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delattr(os, "pidfd_open", raising=False)
        assert isolation.check_pidfd().verdict is Verdict.MISSING


class TestHome:
    @pytest.mark.parametrize(
        ("kind", "expected"),
        [
            ("nfs4", True),
            ("cifs", True),
            ("fuse.sshfs", True),
            ("9p", True),
            ("ext4", False),
            ("fuse.fuse-overlayfs", False),
            ("apfs", False),
            ("", False),
        ],
    )
    def test_file_systems_of_other_machines_are_known(self, kind: str, expected: bool) -> None:
        assert storage.is_networked(kind) is expected

    def test_a_network_file_system_is_a_warning(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(storage, "filesystem_of", lambda _folder: "nfs4")
        found = storage.check_filesystem(tmp_path)
        assert found.verdict is Verdict.WARNING
        assert "SQLite is not safe" in found.follows

    def test_slow_commits_are_a_warning(self) -> None:
        assert storage.judge_commits([0.001, 0.5, 0.001]).verdict is Verdict.OK
        assert storage.judge_commits([0.03, 0.03, 0.001]).verdict is Verdict.WARNING

    def test_commits_are_measured_and_nothing_is_left(self, tmp_path: Path) -> None:
        assert storage.time_commits(tmp_path)
        assert list(tmp_path.iterdir()) == []

    def test_a_disk_that_refuses_is_a_problem(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(_folder: Path) -> list[float]:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(storage, "time_commits", refuse)
        found = storage.check_commits(tmp_path)
        assert (found.verdict, found.found) == (Verdict.PROBLEM, "cannot be written: No space left on device")

    def test_an_old_sqlite_is_a_problem(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(storage.sqlite3, "sqlite_version_info", (3, 36, 0))
        assert storage.check_sqlite().verdict is Verdict.PROBLEM


class TestSoftware:
    def test_tools_are_found_with_their_versions(self, tmp_path: Path) -> None:
        write_tool(tmp_path, "uv", "echo 'uv 9.8.7 (abc 2026-01-01)'")
        write_tool(tmp_path, "podman", "echo 'podman version 5.4.3'")
        write_tool(tmp_path, "docker", "echo 'Docker version 28.2.2, build e6534b4'")
        uv, containers = software.check_tools({"PATH": f"{tmp_path}:/usr/bin:/bin"})
        assert uv.found == "9.8.7"
        assert containers.found.split(", ")[:2] == ["docker 28.2.2", "podman 5.4.3"]

    def test_docker_without_its_service_is_said(self, tmp_path: Path) -> None:
        write_tool(tmp_path, "docker", 'test "$1" = --version && echo "Docker version 28.2.2, build e6534b4"')
        _uv, containers = software.check_tools({"PATH": f"{tmp_path}"})
        assert containers.found == "docker 28.2.2 (its service does not answer)"

    def test_without_tools_what_follows_is_said(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
        uv, containers = software.check_tools({"PATH": str(tmp_path)})
        assert (uv.verdict, containers.verdict) == (Verdict.MISSING, Verdict.MISSING)
        assert uv.follows
        assert containers.follows

    def test_no_library_is_imported_to_look_for_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in NAMES["software"][2:]:
            monkeypatch.setitem(sys.modules, name, None)
        assert {finding.name for finding in software.check_libraries()} == set(NAMES["software"][2:])


class TestVolant:
    @pytest.mark.parametrize(
        ("shell", "file", "text", "verdict"),
        [
            ("/bin/bash", ".bashrc", 'eval "$(volant completion bash)"', Verdict.OK),
            ("/usr/bin/zsh", ".zshrc", "source <(_VOLANT_COMPLETE=zsh_source volant)", Verdict.OK),
            ("/usr/bin/fish", ".config/fish/completions/volant.fish", "complete _VOLANT_COMPLETE", Verdict.OK),
            ("/bin/bash", ".zshrc", "volant completion zsh", Verdict.MISSING),
            ("/bin/tcsh", ".tcshrc", "", Verdict.MISSING),
        ],
    )
    def test_completion_is_looked_for_where_it_usually_is(
        self, tmp_path: Path, shell: str, file: str, text: str, verdict: Verdict
    ) -> None:
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        assert service.check_completion({"SHELL": shell, "HOME": str(tmp_path)}).verdict is verdict


def test_the_worst_verdict_counts() -> None:
    findings = [Finding("g", "n", verdict, "x") for verdict in (Verdict.OK, Verdict.PROBLEM, Verdict.WARNING)]
    assert worst(findings) is Verdict.PROBLEM
    assert worst(findings[:1]) is Verdict.OK


class TestJournal:
    def test_a_home_without_one_and_one_with_one_are_well(self, terminal: Terminal) -> None:
        _, found, _ = report(terminal)
        assert found["journal"]["found"].endswith("made by the first run")
        terminal.types("db", "upgrade")
        _, found, _ = report(terminal)
        assert found["journal"]["verdict"] == "ok"
        assert f"schema version {len(ON_SQLITE)}" in found["journal"]["found"]

    @pytest.mark.parametrize(("version", "says"), [(1, "`volant db upgrade`"), (99, "the newer one")])
    def test_one_of_another_release_says_what_helps(self, terminal: Terminal, version: int, says: str) -> None:
        terminal.types("db", "upgrade")
        with closing(sqlite3.connect(terminal.home / "journal.db")) as db, db:
            db.execute("DELETE FROM schema_version")
            db.execute("INSERT INTO schema_version VALUES (?, 'pre_some', 0)", (version,))
        code, found, _ = report(terminal)
        assert code == 1
        assert found["journal"]["verdict"] == "problem"
        assert f"schema version {version}" in found["journal"]["found"]
        assert says in found["journal"]["follows"]

    def test_a_database_is_looked_at_without_its_password_being_shown(
        self, terminal: Terminal, postgres: PostgresServer
    ) -> None:
        url = postgres.new_database()
        code, found, _ = report(terminal, VOLANT_DATABASE=url)
        assert (code, found["journal"]["verdict"]) == (0, "ok")
        assert found["journal"]["found"].startswith(f"{url}, Postgres ")
        away = "postgresql://me:hunter2@127.0.0.1:1/name"
        code, found, _ = report(terminal, VOLANT_DATABASE=away)
        assert code == 1
        assert "Connection refused" in found["journal"]["found"]
        assert "start the server" in found["journal"]["follows"]
        assert "hunter2" not in json.dumps(found)
