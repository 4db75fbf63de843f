"""A worker that starts after the user's files were edited loads what they were."""

import linecache
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from volant.bundle.archive import Archive, archived_files, installed, make_archive
from volant.bundle.loading import load_file_as_module, load_main


@pytest.fixture(autouse=True)
def _left_as_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    modules = dict(sys.modules)
    main = sys.modules["__main__"]
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    yield
    for name in sys.modules.keys() - modules.keys():
        del sys.modules[name]
    sys.modules["__main__"] = main
    linecache.clearcache()


def archived(folder: Path, **files: str) -> bytes:
    """Writes files by module name, and archives them."""
    found: list[tuple[str, str]] = []
    for name, text in files.items():
        path = folder / f"{name}.py"
        path.write_text(text)
        found.append((name, str(path)))
    return make_archive(found)


def test_an_archive_names_what_it_holds(tmp_path: Path) -> None:
    files = [("a", str(tmp_path / "a.py")), ("b", str(tmp_path / "b.py"))]
    for _, path in files:
        Path(path).write_text("x = 1")
    assert archived_files(make_archive(files)) == files


def test_files_that_are_what_they_were_are_loaded_from_their_places(tmp_path: Path) -> None:
    archive = Archive(archived(tmp_path, same="value = 1\n"))
    archive.install()
    assert archive.changed == []
    assert archive not in sys.meta_path
    assert installed().content(str(tmp_path / "same.py")) is None


def test_an_edited_module_is_imported_as_it_was(tmp_path: Path) -> None:
    data = archived(tmp_path, edited="value = 1\n", other="value = 1\n")
    (tmp_path / "edited.py").write_text("value = 2\n")
    archive = Archive(data)
    archive.install()
    assert archive.changed == [str(tmp_path / "edited.py")]
    import edited  # type: ignore[import-not-found]
    import other  # type: ignore[import-not-found]

    assert (edited.value, other.value) == (1, 1)
    assert edited.__file__ == str(tmp_path / "edited.py")
    assert linecache.getline(edited.__file__, 1) == "value = 1\n"


def test_a_removed_package_is_still_there(tmp_path: Path) -> None:
    package = tmp_path / "gone"
    package.mkdir()
    (package / "__init__.py").write_text("from gone.inner import value\n")
    (package / "inner.py").write_text("value = 7\n")
    data = make_archive([("gone", str(package / "__init__.py")), ("gone.inner", str(package / "inner.py"))])
    shutil.rmtree(package)
    Archive(data).install()
    import gone  # type: ignore[import-not-found]

    assert gone.value == 7


def test_an_edited_script_and_an_edited_file_with_a_name_are_loaded_as_they_were(tmp_path: Path) -> None:
    data = archived(tmp_path, script="kind = 'old'\n", named="kind = 'old'\n")
    for name in ("script", "named"):
        (tmp_path / f"{name}.py").write_text("kind = 'new'\n")
    Archive(data).install()
    assert load_main(tmp_path / "script.py").kind == "old"
    assert load_file_as_module(tmp_path / "named.py", name="named").kind == "old"


def test_the_same_files_give_the_same_archive_in_whatever_order(tmp_path: Path) -> None:
    archived(tmp_path, a="1\n", b="2\n")
    files = [("a", str(tmp_path / "a.py")), ("b", str(tmp_path / "b.py"))]
    assert make_archive(files) == make_archive(reversed(files))
    assert make_archive([*files, ("c", str(tmp_path / "missing.py"))]) == make_archive(files)
