"""Names are unique in a process, except where the same source is executed again."""

import importlib
import importlib.util
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from volant.authoring.environment import TaskEnvironment
from volant.authoring.registry import default_registry
from volant.model.errors import DuplicateNameError

SOURCE = """
from volant.authoring.environment import TaskEnvironment
env = TaskEnvironment("env", description={description!r})

@env.task
async def job(n: int) -> int:
    return n
"""


def test_two_environments_of_one_name_are_an_error_that_names_both_places() -> None:
    TaskEnvironment("env")
    with pytest.raises(DuplicateNameError, match=r"'env' is defined at .*test_redefining.py:\d+, .* from .*.py:\d+"):
        TaskEnvironment("env")


def test_two_tasks_of_one_name_are_an_error_that_names_both_places(env: TaskEnvironment) -> None:
    @env.task
    def job() -> int:
        return 1

    first = job
    with pytest.raises(DuplicateNameError, match=r"task 'env.job' is defined at .*.py:\d+, but .* from .*.py:\d+"):

        @env.task
        def job() -> int:  # type: ignore[no-redef]
            return 2

    assert env.tasks["env.job"] is first


def test_tasks_of_one_name_in_two_environments_are_fine(env: TaskEnvironment) -> None:
    def job() -> None: ...

    assert {env.task(job).name, TaskEnvironment("other").task(job).name} == {"env.job", "other.job"}


def test_a_function_that_is_called_again_defines_again() -> None:
    def define() -> tuple[TaskEnvironment, Any]:
        made = TaskEnvironment("env")

        @made.task
        def job() -> None: ...

        return made, job

    first, second = define(), define()
    assert default_registry.get("env") is second[0]
    assert first[0].tasks["env.job"] is first[1]
    for _ in range(2):
        kept = TaskEnvironment("loop")
    assert list(default_registry) == [second[0], kept]


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield tmp_path / "redefined.py"
    sys.modules.pop("redefined", None)


def test_a_module_that_is_reloaded_defines_again_even_when_lines_have_moved(module: Path) -> None:
    module.write_text(SOURCE.format(description="first"))
    loaded = importlib.import_module("redefined")
    importlib.reload(loaded)
    module.write_text("# One line more.\n\n" + SOURCE.format(description="second one"))
    importlib.invalidate_caches()
    loaded = importlib.reload(loaded)
    assert loaded.env.description == "second one"
    assert default_registry.get("env") is loaded.env
    assert loaded.job.spec().loader.module == "redefined"


def test_one_module_that_defines_twice_is_an_error(module: Path) -> None:
    module.write_text(SOURCE.format(description="a") + SOURCE.format(description="b"))
    with pytest.raises(DuplicateNameError):
        importlib.import_module("redefined")


def test_a_script_that_is_imported_too_defines_the_same(module: Path) -> None:
    module.write_text(SOURCE.format(description="x"))
    importlib.import_module("redefined")
    code = compile(module.read_text(), str(module), "exec")
    exec(code, {"__name__": "__main__"})


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """A `__main__` without a file, as in a notebook or a REPL."""
    main = types.ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", main)
    return main


def _run_cell(main: types.ModuleType, number: int, source: str) -> None:
    exec(compile(source, f"<cell {number}>", "exec"), main.__dict__)


def test_a_cell_that_is_executed_again_replaces_also_when_it_was_edited(notebook: types.ModuleType) -> None:
    _run_cell(notebook, 1, SOURCE.format(description="first"))
    _run_cell(notebook, 1, SOURCE.format(description="first"))
    _run_cell(notebook, 2, "\n\n" + SOURCE.format(description="edited"))
    assert notebook.env.description == "edited"
    task_cell = "@env.task\nasync def job(n: int) -> int:\n    return n + {add}\n"
    _run_cell(notebook, 3, task_cell.format(add=1))
    _run_cell(notebook, 4, "\n" + task_cell.format(add=2))
    assert notebook.env.tasks["env.job"] is notebook.job


def test_one_cell_that_defines_twice_is_an_error(notebook: types.ModuleType) -> None:
    with pytest.raises(DuplicateNameError):
        _run_cell(notebook, 1, SOURCE.format(description="a") + SOURCE.format(description="b"))
