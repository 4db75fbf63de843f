"""What README and docs show works as they show it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.blocks import Block, BlockFailed, Reader, blocks_of, commands_of, is_as_shown

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    *sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("*.md") if path.name != "CHANGELOG.md"),
    *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")),
]


@pytest.fixture(scope="module")
def environ(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A person's environment, with one home and one engine for all pages."""
    folder = tmp_path_factory.mktemp("person")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("VOLANT_", "PYTEST_"))}
    found = {
        **kept,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", "")]),
        "HOME": str(folder),
        "VOLANT_HOME": str(folder / "home"),
        "PYTHONWARNINGS": "error",
        "COLUMNS": "100",
    }
    yield found
    stop = [sys.executable, "-m", "volant", "engine", "stop", "--abort-runs"]
    done = subprocess.run(stop, env=found, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", [page for page in PAGES if blocks_of(ROOT / page)])
def test_every_block_does_what_the_page_says(page: str, environ: dict[str, str], tmp_path: Path) -> None:
    said = ""
    try:
        Reader(tmp_path, environ, ROOT).follow(blocks_of(ROOT / page))
    except BlockFailed as failed:
        said = str(failed)
    if said:
        pytest.fail(said, pytrace=False)


def test_a_block_that_lies_is_found(environ: dict[str, str], tmp_path: Path) -> None:
    def follow(language: str, text: str) -> None:
        Reader(tmp_path, environ, ROOT).follow([Block(tmp_path / "page.md", 7, language, text)])

    lies = [
        ("console", "$ echo one\ntwo\n", "wanted:\ntwo"),
        ("console", "$ false\n", "ended with 1"),
        ("python", "raise SystemExit(3)\n", "ended with 3"),
        ("python", "# lonely.py\nx = 1\n", "never used"),
        ("python", "# test_lie.py\ndef test_lie():\n    assert 1 == 2\n", "assert 1 == 2"),
        ("toml", "a = = 1\n", "no TOML"),
        ("ruby", "puts 1\n", "'ruby'"),
    ]
    for language, text, said in lies:
        with pytest.raises(BlockFailed, match=said) as failed:
            follow(language, text)
        assert str(failed.value).startswith(f"{tmp_path / 'page.md'}:7: ")


def test_dots_stand_for_anything() -> None:
    assert is_as_shown(["run ...: a", "...", "end"], ["run x-y: a", "1", "2", "end"])
    assert is_as_shown(["..."], [""])
    assert not is_as_shown(["run ...: a"], ["run x: a", "more"])
    assert not is_as_shown(["a.c"], ["abc"])


def test_commands_have_the_output_that_follows_them() -> None:
    block = Block(Path("page.md"), 1, "console", "$ echo a \\\n>   b\na b\n\n$ true   # nothing\n")
    assert [(each.text, each.shown) for each in commands_of(block)] == [("echo a  b", ["a b"]), ("true", [])]


def test_blocks_inside_directives_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("text\n\n````{note}\n```python\nx\n```\n````\n\n```{toctree}\na\n```\n")
    assert [(block.line, block.language) for block in blocks_of(page)] == [(4, "python")]
