"""What another interpreter is told about the user's code."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from volant.bundle.code import PACKAGE_ROOT, UserCodeDigest, describe_code, user_code_digest
from volant.bundle.loading import load_file_as_module
from volant.model.code import CodeSource
from volant.model.errors import CallError


@pytest.fixture(autouse=True)
def interpreter_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    modules = dict(sys.modules)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for name in sys.modules.keys() - modules.keys():
        del sys.modules[name]


def test_an_importable_module_is_named(tmp_path: Path) -> None:
    (tmp_path / "named_flow.py").write_text("")
    load_file_as_module(tmp_path / "named_flow.py")
    code = describe_code(["named_flow", "named_flow"])
    assert code.modules == ("named_flow",)
    assert code.module_files == ()
    assert code.main_script is None
    assert code.interpreter == sys.executable
    assert code.cwd == os.getcwd()
    assert code.sys_path[0] == str(tmp_path)
    assert all(os.path.isabs(entry) for entry in code.sys_path)
    assert Path(code.package_root, "volant", "bundle", "code.py").exists()


def test_a_module_that_cannot_be_found_by_name_comes_with_its_file(tmp_path: Path) -> None:
    file = tmp_path / "hidden_flow.py"
    file.write_text("")
    load_file_as_module(file, name="hidden_flow")
    load_file_as_module(file, name="pkg_of.hidden_flow")
    assert describe_code(["hidden_flow"]).module_files == (("hidden_flow", str(file)),)
    assert describe_code(["pkg_of.hidden_flow"]).module_files == (("pkg_of.hidden_flow", str(file)),)


def test_a_module_that_another_file_would_shadow_comes_with_its_file(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "shadowed_flow.py").write_text("")
        sys.path.insert(0, str(tmp_path / folder))
    load_file_as_module(tmp_path / "a" / "shadowed_flow.py", name="shadowed_flow")
    assert describe_code(["shadowed_flow"]).module_files == (
        ("shadowed_flow", str(tmp_path / "a" / "shadowed_flow.py")),
    )


def test_what_has_no_file_is_left_out() -> None:
    code = describe_code(["sys", "no_such_module"])
    assert code.modules == ()


def described_by(folder: Path, text: str, *arguments: str) -> CodeSource:
    program = textwrap.dedent(text) + textwrap.dedent(
        """
        import sys, msgspec
        from volant.bundle.code import describe_code
        sys.stdout.buffer.write(msgspec.msgpack.encode(describe_code(["__main__"])))
        """
    )
    (folder / "script.py").write_text(program)
    done = subprocess.run(
        [sys.executable, *(arguments or ("script.py",))],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": PACKAGE_ROOT},
        input=program.encode(),
        stdout=subprocess.PIPE,
        check=True,
    )
    return msgspec.msgpack.decode(done.stdout, type=CodeSource)


def test_a_script_is_named_by_its_absolute_path(tmp_path: Path) -> None:
    code = described_by(tmp_path, "")
    assert code.main_script == str(tmp_path / "script.py")
    assert code.modules == ()
    assert code.sys_path[0] == str(tmp_path)


def test_a_module_that_was_started_by_name_has_its_package(tmp_path: Path) -> None:
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "__init__.py").write_text("")
    described_by(tmp_path / "pkg", "", "script.py")
    code = described_by(tmp_path, "", "-m", "pkg.script")
    assert code.main_script == str(tmp_path / "pkg" / "script.py")
    assert code.main_package == "pkg"


def test_a_script_without_tasks_is_named_for_values_that_it_defines(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(
        "from volant.bundle.code import describe_code\ncode = describe_code([])\n"
        "print(code.main_script, code.main_is_imported)\n"
    )
    done = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": PACKAGE_ROOT},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"{tmp_path / 'script.py'} False\n"


def test_a_program_without_a_file_has_no_script(tmp_path: Path) -> None:
    assert described_by(tmp_path, "", "-").main_script is None


def test_the_digest_follows_contents_of_the_users_files_alone(tmp_path: Path) -> None:
    helper = tmp_path / "helper_of_flow.py"
    helper.write_text("value = 1\n")
    first = described_by(tmp_path, "import helper_of_flow")
    assert described_by(tmp_path, "import helper_of_flow").digest == first.digest
    assert described_by(tmp_path, "import helper_of_flow, json, xml.dom.minidom").digest != first.digest
    os.utime(helper, (1, 1))
    assert described_by(tmp_path, "import helper_of_flow").digest == first.digest
    helper.write_text("value = 2\n")
    assert described_by(tmp_path, "import helper_of_flow").digest != first.digest


def test_files_are_the_users_when_they_are_not_installed(tmp_path: Path) -> None:
    (tmp_path / "my_own_flow.py").write_text("")
    load_file_as_module(tmp_path / "my_own_flow.py")
    (tmp_path / "site-packages").mkdir()
    (tmp_path / "site-packages" / "installed_flow.py").write_text("")
    load_file_as_module(tmp_path / "site-packages" / "installed_flow.py")
    names = {name for name, _ in user_code_digest.files()}
    assert "my_own_flow" in names
    assert not names & {"installed_flow", "json", "msgspec", "volant.bundle.code", "pytest"}


def test_a_file_that_changed_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "changing_flow.py"
    file.write_text("value = 1\n")
    load_file_as_module(file)
    digest = UserCodeDigest(not_users=[])
    first = digest.digest()
    assert digest.digest() == first
    file.write_text("value = 12\n")
    assert digest.digest() != first
    file.unlink()
    assert digest.digest() != first


def test_code_whose_path_cannot_be_told_is_refused_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "caf\udce9"
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("the file system takes UTF-8 only")
    (folder / "odd_flow.py").write_text("")
    load_file_as_module(folder / "odd_flow.py")
    with pytest.raises(CallError, match=r"the path '.*caf\\udce9.*': its bytes are not UTF-8 text"):
        describe_code(["odd_flow"])


def test_code_in_a_folder_that_is_gone_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(CallError, match="the current folder does not exist any more"):
        describe_code([])
