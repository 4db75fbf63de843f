"""What attempts write is shown while they write it: whole lines, each with its writer's name, and nothing is lost."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.client.conftest import Recorder
from tests.client.fake_engine import change, run_record
from volant.client import tailing
from volant.client.tailing import Following, Tail
from volant.model.ids import ActionId
from volant.model.phases import ActionPhase
from volant.model.records import Change, ChangeKind

FIRST, SECOND = ActionId("a" * 32), ActionId("b" * 32)


def started(action: ActionId, attempt: int = 0, name: str = "leaf") -> Change:
    return change(1, ChangeKind.ATTEMPT_STARTED, action=action, attempt=attempt, name=name)


def ended(action: ActionId, kind: ChangeKind = ChangeKind.ACTION_ENDED) -> Change:
    return change(2, kind, action=action, phase=ActionPhase.SUCCEEDED, name="leaf")


def write(folder: Path, action: ActionId, text: bytes, attempt: int = 0) -> None:
    with (folder / f"{action}-{attempt}.log").open("ab") as log:
        log.write(text)


def test_lines_come_when_they_are_whole_and_the_last_one_when_its_attempt_has_ended(tmp_path: Path) -> None:
    tail = Tail(tmp_path)
    tail.take([started(FIRST), started(SECOND, name="other")])
    assert tail.read() == []
    write(tmp_path, FIRST, b"one\ntw")
    write(tmp_path, SECOND, "grü".encode())
    assert tail.read() == ["leaf aaaaaa | one"]
    write(tmp_path, FIRST, b"o\n\n")
    assert tail.read() == ["leaf aaaaaa | two", "leaf aaaaaa | "]
    write(tmp_path, SECOND, b"n")
    tail.take([ended(SECOND)])
    assert tail.read() == ["other bbbbbb | grün"]
    assert tail.read_all() == []


def test_every_attempt_of_an_action_is_shown(tmp_path: Path) -> None:
    tail = Tail(tmp_path)
    tail.take([started(FIRST)])
    write(tmp_path, FIRST, b"first\n")
    tail.take([ended(FIRST, ChangeKind.ATTEMPT_ENDED), started(FIRST, 1)])
    write(tmp_path, FIRST, b"second\n", attempt=1)
    assert sorted(tail.read()) == ["leaf aaaaaa attempt 2 | second", "leaf aaaaaa | first"]


def test_thousands_that_ended_at_once_are_read_bit_by_bit(tmp_path: Path) -> None:
    tail = Tail(tmp_path)
    actions = [ActionId(f"{number:032x}") for number in range(1200)]
    for action in actions:
        tail.take([started(action), ended(action)])
        write(tmp_path, action, b"x\n")
    assert len(tail.read()) == 500
    assert len(tail.read_all()) == 700


def test_what_would_tear_the_screen_is_taken_out(tmp_path: Path) -> None:
    tail, coloured = Tail(tmp_path), Tail(tmp_path, colour=True)
    write(tmp_path, FIRST, b"10%\r50%\r100%\r\n\x1b[31mred\x1b[0m\x1b[2J\x1b]0;title\x07 \x08end\n")
    for each in (tail, coloured):
        each.take([started(FIRST)])
    assert tail.read() == ["leaf aaaaaa | 100%", "leaf aaaaaa | red end"]
    lines = coloured.read()
    assert lines[0].endswith("\x1b[0m 100%")
    assert lines[1].endswith(" \x1b[31mred\x1b[0m end\x1b[0m")


@given(data=st.data(), pieces=st.lists(st.binary(max_size=12), max_size=12))
def test_whatever_is_written_comes_out_once(
    data: st.DataObject, pieces: list[bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("logs")
    tail = Tail(folder)
    tail.take([started(FIRST)])
    found: list[str] = []
    for piece in pieces:
        write(folder, FIRST, piece)
        if data.draw(st.booleans()):
            found += tail.read()
    found += tail.read_all()
    whole = b"".join(pieces)
    lines = whole.split(b"\n")
    wanted = lines if lines[-1] else lines[:-1]
    other = Tail(folder)
    other.take([started(FIRST), ended(FIRST)])
    assert found == other.read_all()
    assert len(found) == len(wanted)


def test_long_output_is_read_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tailing, "_BLOCK", 10)
    tail = Tail(tmp_path)
    tail.take([started(FIRST)])
    write(tmp_path, FIRST, b"".join(b"line %d\n" % number for number in range(50)))
    first = tail.read()
    assert 0 < len(first) < 50
    assert len(first) + len(tail.read_all()) == 50


class Written(Recorder):
    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def written(self, lines: Sequence[str]) -> None:
        self.said += lines

    def ended(self, run: object, outcome: object) -> None:
        self.said.append("ended")


def test_all_is_shown_before_it_is_said_how_the_run_ended(tmp_path: Path) -> None:
    recorder = Written()

    async def body() -> None:
        following = Following(recorder, lambda run: tmp_path / run, colour=False)
        following.accepted(run_record("r1"))
        (tmp_path / "r1").mkdir()
        following.changed([started(FIRST)])
        write(tmp_path / "r1", FIRST, b"one\nrest")
        following._look()
        assert recorder.said == ["leaf aaaaaa | one"]
        following.ended(run_record("r1"), None)
        following.close()

    asyncio.run(body())
    assert recorder.said == ["leaf aaaaaa | one", "leaf aaaaaa | rest", "ended"]
    assert recorder.changes == [started(FIRST)]
