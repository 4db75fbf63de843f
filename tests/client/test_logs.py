"""Captured output: the last lines from the end, files that grow, and files that are gone."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from volant.client import logs
from volant.client.logs import Tail, captured, lines_of, log_file
from volant.model.ids import ActionId, RunId

RUN = RunId("r")


def written(folder: Path, text: str) -> Path:
    path = folder / "a.log"
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize("text", ["", "a", "a\n", "a\nb", "a\nb\n", "\n", "\n\n", "a\r\nb\r\n", "é\nü"])
@pytest.mark.parametrize("block", [1, 2, 1000])
def test_the_last_lines_are_those_that_python_gives(
    tmp_path: Path, text: str, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "_BLOCK", block)
    path = written(tmp_path, text)
    wanted = text.replace("\r\n", "\n").split("\n")
    if wanted[-1] == "":
        wanted.pop()
    assert list(lines_of(path)) == wanted
    for count in range(4):
        assert list(lines_of(path, tail=count)) == (wanted[-count:] if count else [])


@given(st.lists(st.text("ab", max_size=3), max_size=8), st.booleans(), st.integers(0, 9), st.integers(1, 5))
def test_any_number_of_last_lines_in_blocks_of_any_size(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], ends: bool, count: int, block: int
) -> None:
    folder = tmp_path_factory.mktemp("l")
    text = "\n".join(lines) + ("\n" if ends and lines else "")
    path = written(folder, text)
    wanted = text.split("\n")
    if wanted[-1] == "":
        wanted.pop()
    before, logs._BLOCK = logs._BLOCK, block  # type: ignore[misc]
    try:
        assert list(lines_of(path, tail=count)) == (wanted[-count:] if count else [])
    finally:
        logs._BLOCK = before  # type: ignore[misc]


def test_a_file_that_is_gone_has_no_lines(tmp_path: Path) -> None:
    assert list(lines_of(tmp_path / "none")) == []
    assert list(lines_of(tmp_path / "none", tail=3)) == []
    assert Tail.last(tmp_path / "none", 3).read(to_end=True) == []


def test_whole_lines_are_given_as_they_come_and_the_rest_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    tail = Tail(path)
    assert tail.read() == []
    path.write_text("one\ntw")
    assert tail.read() == ["one"]
    with path.open("a") as more:
        more.write("o\nthree")
    assert tail.read() == ["two"]
    assert tail.read() == []
    assert tail.read(to_end=True) == ["three"]
    assert tail.read(to_end=True) == []


def test_a_character_that_is_written_in_two_pieces_is_one(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    tail = Tail(path)
    data = "grün\n".encode()
    path.write_bytes(data[:3])
    assert tail.read() == []
    path.write_bytes(data)
    assert tail.read() == ["grün"]


def test_a_file_that_is_truncated_is_read_from_its_beginning(tmp_path: Path) -> None:
    path = written(tmp_path, "one\ntwo\nhal")
    tail = Tail(path)
    assert tail.read() == ["one", "two"]
    path.write_text("new\n")
    assert tail.read() == ["new"]


def test_a_file_that_is_gone_for_a_while_is_waited_for(tmp_path: Path) -> None:
    path = written(tmp_path, "one\n")
    tail = Tail(path)
    assert tail.read() == ["one"]
    path.unlink()
    assert tail.read() == []
    path.write_text("one\ntwo\n")
    assert tail.read() == ["two"]


def test_following_may_begin_with_the_last_lines(tmp_path: Path) -> None:
    path = written(tmp_path, "one\ntwo\nthree\n")
    assert Tail.last(path, 2).read() == ["two", "three"]
    assert Tail.last(path, 0).read() == []


def test_captured_output_is_found_by_action_and_attempt(tmp_path: Path) -> None:
    assert captured(tmp_path, RUN) == {}
    for name in ("a-0", "a-10", "a-9", "b-0"):
        path = log_file(tmp_path, RUN, ActionId(name[0]), int(name[2:]))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (path.parent / "stray.txt").touch()
    (path.parent / "-1.log").touch()
    assert captured(tmp_path, RUN) == {"a": [0, 9, 10], "b": [0]}
