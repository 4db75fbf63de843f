"""Files as modules: their names, their packages, their place in `sys.modules`."""

import pickle
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from volant.bundle.loading import (
    importing_tasks,
    is_importing_tasks,
    load_file_as_module,
    load_main,
    module_name_of,
)
from volant.model.errors import CallError


@pytest.fixture(autouse=True)
def interpreter_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Tests load modules and change the search path."""
    modules = dict(sys.modules)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for name in sys.modules.keys() - modules.keys():
        del sys.modules[name]
    sys.modules.update(modules)


def write(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text))
    return path


class TestFiles:
    def test_a_file_gets_its_stem_and_its_folder_is_searched(self, tmp_path: Path) -> None:
        write(tmp_path / "neighbour_of_flow.py", "value = 5")
        module = load_file_as_module(write(tmp_path / "some_flow.py", "from neighbour_of_flow import value"))
        assert (module.__name__, module.value) == ("some_flow", 5)
        assert sys.modules["some_flow"] is module
        assert sys.path[0] == str(tmp_path)
        assert module.__spec__ is not None

    def test_a_file_in_a_package_gets_its_dotted_name(self, tmp_path: Path) -> None:
        write(tmp_path / "outer_pkg" / "__init__.py", "marker = 'outer'")
        write(tmp_path / "outer_pkg" / "inner" / "__init__.py")
        write(tmp_path / "outer_pkg" / "inner" / "helpers.py", "value = 7")
        file = write(tmp_path / "outer_pkg" / "inner" / "flow.py", "from .helpers import value\nfrom .. import marker")
        module = load_file_as_module(file)
        assert module.__name__ == "outer_pkg.inner.flow"
        assert (module.value, module.marker) == (7, "outer")
        assert sys.modules["outer_pkg.inner"].flow is module
        assert sys.path[0] == str(tmp_path)

    def test_a_package_is_named_by_its_folder(self, tmp_path: Path) -> None:
        file = write(tmp_path / "just_pkg" / "__init__.py")
        assert module_name_of(str(file)) == ("just_pkg", str(tmp_path))

    def test_a_file_is_executed_once(self, tmp_path: Path) -> None:
        file = write(
            tmp_path / "counted_flow.py", f"with open({str(tmp_path / 'count')!r}, 'a') as f:\n    f.write('x')"
        )
        assert load_file_as_module(file) is load_file_as_module(str(file))
        assert (tmp_path / "count").read_text() == "x"

    def test_another_module_of_that_name_is_not_replaced(self, tmp_path: Path) -> None:
        with pytest.raises(CallError, match="would be imported as 'textwrap', but a module of that name is loaded"):
            load_file_as_module(write(tmp_path / "textwrap.py"))

    def test_a_failing_file_leaves_no_module(self, tmp_path: Path) -> None:
        with pytest.raises(LookupError, match="why not"):
            load_file_as_module(write(tmp_path / "failing_flow.py", "raise LookupError('why not')"))
        assert "failing_flow" not in sys.modules

    def test_there_is_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError, match=r"nothing\.py"):
            load_file_as_module(tmp_path / "nothing.py")

    def test_something_that_is_no_python(self, tmp_path: Path) -> None:
        with pytest.raises(CallError, match="expected the name of a Python file"):
            load_file_as_module(write(tmp_path / "notes.txt", "hello"))

    def test_a_name_chosen_elsewhere_leaves_the_search_path_alone(self, tmp_path: Path) -> None:
        before = list(sys.path)
        file = write(tmp_path / "a" / "b" / "c.py", "from . import d\nvalue = d.value")
        write(tmp_path / "a" / "b" / "d.py", "value = 3")
        module = load_file_as_module(file, name="pkg_a.pkg_b.c")
        assert module.value == 3
        assert sys.path == before
        assert pickle.loads(pickle.dumps(sys.modules["pkg_a.pkg_b.d"].__name__)) == "pkg_a.pkg_b.d"
        assert __import__("pkg_a.pkg_b.c").pkg_b.c is module

    def test_a_module_that_replaces_itself(self, tmp_path: Path) -> None:
        file = write(
            tmp_path / "replacing.py", "import sys, types\nsys.modules[__name__] = types.SimpleNamespace(value=9)"
        )
        assert load_file_as_module(file).value == 9


class TestMain:
    def test_it_is_main_and_pickles_know_it(self, tmp_path: Path) -> None:
        script = write(
            tmp_path / "script.py",
            """
            class Thing:
                pass
            if __name__ == "__main__":
                raise SystemExit
            """,
        )
        module = load_main(script)
        assert sys.modules["__main__"] is module
        assert module.__file__ == str(script)
        assert module.Thing.__module__ == "__main__"
        assert type(pickle.loads(pickle.dumps(module.Thing()))) is module.Thing

    def test_one_that_was_started_as_a_module_has_its_package(self, tmp_path: Path) -> None:
        sys.path.insert(0, str(tmp_path))
        write(tmp_path / "started_pkg" / "__init__.py")
        write(tmp_path / "started_pkg" / "helpers.py", "value = 4")
        script = write(tmp_path / "started_pkg" / "run.py", "from .helpers import value")
        assert load_main(script, package="started_pkg").value == 4

    def test_a_failing_script_leaves_main_as_it_was(self, tmp_path: Path) -> None:
        before = sys.modules["__main__"]
        with pytest.raises(ZeroDivisionError):
            load_main(write(tmp_path / "script.py", "1 / 0"))
        assert sys.modules["__main__"] is before

    def test_a_syntax_error_names_the_file(self, tmp_path: Path) -> None:
        with pytest.raises(SyntaxError) as raised:
            load_main(write(tmp_path / "script.py", "def broken(:"))
        assert raised.value.filename == str(tmp_path / "script.py")


def test_imports_for_a_worker_are_known_as_such() -> None:
    assert not is_importing_tasks()
    with importing_tasks():
        with importing_tasks():
            assert is_importing_tasks()
        assert is_importing_tasks()
    assert not is_importing_tasks()
