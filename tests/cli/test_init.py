"""`volant init`: what it writes runs, and it never overwrites."""

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import PATIENCE, Person
from tests.cli.typing_commands import Terminal, terminal
from volant.cli.initializing import distribution_name, package_name, write_files
from volant.cli.project_files import project_files
from volant.model.errors import CallError

__all__ = ["terminal"]


@pytest.fixture
def newcomer(tmp_path: Path) -> Iterator[Person]:
    (tmp_path / "My 1st pipeline").mkdir()
    found = Person(tmp_path / "h", tmp_path / "My 1st pipeline")
    yield found
    done = found.types("engine", "stop", "--abort-runs")
    assert done.returncode == 0, done.stderr


def test_a_new_project_runs_and_passes_its_own_tests(newcomer: Person) -> None:
    made = newcomer.types("init")
    assert made.returncode == 0, made.stderr
    run, test = made.stdout.splitlines()
    assert (run, test) == ("volant run src/my_1st_pipeline/pipeline.py main", "python -m pytest")
    ran = newcomer.types(*run.split()[1:], "--text", "a b a")
    assert (ran.returncode, ran.stdout) == (0, "{'a': 2, 'b': 1}\n"), ran.stderr
    assert newcomer.types("get", "runs").stdout.count("my_1st_pipeline.main") == 1
    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=newcomer.folder,
        env=newcomer.environ,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert "2 passed" in tested.stdout
    # Tests have a home of their own.
    assert newcomer.types("get", "runs").stdout.count("my_1st_pipeline.main") == 1


def test_where_pytest_is_missing_it_is_installed_first(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    found = terminal.types("init", "new")
    assert found.out.splitlines()[-2:] == ["python -m pip install pytest", "python -m pytest"]


class TestFolders:
    def test_a_folder_is_made(self, terminal: Terminal) -> None:
        found = terminal.types("init", "deep/er one")
        assert found.code == 0
        assert (terminal.folder / "deep" / "er one" / "src" / "er_one" / "pipeline.py").is_file()
        assert found.out.splitlines()[0] == "cd 'deep/er one'"

    def test_a_folder_with_something_in_it_is_refused_and_left_alone(self, terminal: Terminal) -> None:
        for name in ("a", "b", "c", "d", "e", "f"):
            (terminal.folder / name).write_text(name)
        found = terminal.types("init")
        assert (found.code, found.out) == (1, "")
        assert f"{terminal.folder} is not empty: it has a, b, c, d, e and 1 more; expected" in found.err
        assert "hint: volant init NEW_FOLDER" in found.err
        assert len(list(terminal.folder.iterdir())) == 6

    def test_a_repository_without_files_is_as_good_as_empty(self, terminal: Terminal) -> None:
        (terminal.folder / ".git").mkdir()
        (terminal.folder / ".venv").mkdir()
        assert terminal.types("init").code == 0

    def test_a_file_is_no_folder(self, terminal: Terminal) -> None:
        (terminal.folder / "taken").touch()
        found = terminal.types("init", "taken")
        assert found.code == 1
        assert f"error: {terminal.folder / 'taken'} is a file, expected a folder that is new or empty" in found.err

    def test_what_was_written_is_taken_back_when_the_rest_cannot_be(self, tmp_path: Path) -> None:
        with pytest.raises(CallError, match="nothing was left there"):
            write_files(tmp_path / "new", {"a/b": "x", "a/b/c": "y"})
        assert list(tmp_path.iterdir()) == []

    def test_a_file_that_appears_meanwhile_is_not_overwritten(self, tmp_path: Path) -> None:
        (tmp_path / "README.md").write_text("mine")
        with pytest.raises(CallError, match=r"README\.md cannot be written: File exists"):
            write_files(tmp_path, {"pyproject.toml": "x", "README.md": "y"})
        assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("README.md", "mine")]


class TestNames:
    @pytest.mark.parametrize(
        ("text", "project", "package"),
        [
            ("flights", "flights", "flights"),
            ("My  Flights!", "my-flights", "my_flights"),
            ("2024-report", "2024-report", "project_2024_report"),
            ("class", "class", "class_project"),
            ("match", "match", "match_project"),
            ("json", "json", "json_project"),
            ("volant", "volant", "volant_project"),
            ("Überflüge", "uberfluge", "uberfluge"),
            ("--x__y.z", "x-y-z", "x_y_z"),
        ],
    )
    def test_awkward_names_become_valid_ones(self, text: str, project: str, package: str) -> None:
        assert distribution_name(text) == project
        assert package_name(project) == package
        files = project_files(name=project, package=package)
        for path, source in files.items():
            if path.endswith(".py"):
                compile(source, path, "exec")

    def test_a_name_can_be_given(self, terminal: Terminal) -> None:
        assert terminal.types("init", "here", "--name", "Sky").code == 0
        assert 'name = "sky"' in (terminal.folder / "here" / "pyproject.toml").read_text()
        assert (terminal.folder / "here" / "src" / "sky").is_dir()

    def test_a_name_without_any_letter_is_refused(self, terminal: Terminal) -> None:
        found = terminal.types("init", "飛行")
        assert (found.code, list(terminal.folder.iterdir())) == (1, [])
        assert "error: the folder's name '飛行' has no letter" in found.err
        assert "hint: volant init --name NAME" in found.err
