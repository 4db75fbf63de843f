"""What attempts write is shown while they write it: whole lines, each with its writer's name, and nothing is lost."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.client.conftest import Recorder
from tests.client.fake_engine import NOW, change, run_record
from volant.client import logs
from volant.client.following import Following
from volant.client.logs import log_file
from volant.client.tailing import RunTail
from volant.client.writers import Writer, head_of, readable
from volant.model.ids import ActionId, RunId
from volant.model.phases import ActionPhase
from volant.model.records import Change, ChangeKind

RUN = RunId("r1")
FIRST, SECOND = ActionId("a" * 32), ActionId("b" * 32)


def started(action: ActionId, attempt: int = 0, name: str = "leaf") -> Change:
    return change(1, ChangeKind.ATTEMPT_STARTED, action=action, attempt=attempt, name=name)


def ended(action: ActionId, kind: ChangeKind = ChangeKind.ACTION_ENDED) -> Change:
    return change(2, kind, action=action, phase=ActionPhase.SUCCEEDED, name="leaf")


def write(home: Path, action: ActionId, text: bytes, attempt: int = 0) -> None:
    path = log_file(home, RUN, action, attempt)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as log:
        log.write(text)


def said(found: Sequence[tuple[Writer, list[str]]]) -> list[str]:
    return [f"{writer.name}#{writer.attempt + 1} {line}" for writer, lines in found for line in lines]


def test_lines_come_when_they_are_whole_and_the_last_one_when_its_attempt_has_ended(tmp_path: Path) -> None:
    tail = RunTail(tmp_path, RUN)
    tail.take([started(FIRST), started(SECOND, name="other")])
    assert tail.read() == []
    write(tmp_path, FIRST, b"one\ntw")
    write(tmp_path, SECOND, "grü".encode())
    assert said(tail.read()) == ["leaf#1 one"]
    write(tmp_path, FIRST, b"o\n\n")
    assert said(tail.read()) == ["leaf#1 two", "leaf#1 "]
    write(tmp_path, SECOND, b"n")
    tail.take([ended(SECOND)], now=NOW + timedelta(hours=1))
    assert said(tail.read()) == ["other#1 grün"]
    assert tail.read_all() == []


def test_what_a_process_writes_on_its_way_out_is_shown(tmp_path: Path) -> None:
    tail = RunTail(tmp_path, RUN)
    tail.take([started(FIRST)], now=NOW)
    write(tmp_path, FIRST, b"one\nha")
    tail.take([ended(FIRST)], now=NOW)
    assert said(tail.read()) == ["leaf#1 one"]
    write(tmp_path, FIRST, b"lf\n")
    assert said(tail.read()) == ["leaf#1 half"]


def test_every_attempt_of_an_action_is_shown(tmp_path: Path) -> None:
    tail = RunTail(tmp_path, RUN)
    tail.take([started(FIRST)])
    write(tmp_path, FIRST, b"first\n")
    tail.take([ended(FIRST, ChangeKind.ATTEMPT_ENDED), started(FIRST, 1)])
    write(tmp_path, FIRST, b"second\n", attempt=1)
    assert sorted(said(tail.read())) == ["leaf#1 first", "leaf#2 second"]


def test_an_attempt_whose_end_nobody_told_is_shown_to_its_end(tmp_path: Path) -> None:
    tail = RunTail(tmp_path, RUN)
    tail.take([started(FIRST)])
    write(tmp_path, FIRST, b"half")
    tail.take([started(FIRST, 1)])
    assert said(tail.read_all()) == ["leaf#1 half"]


def test_others_are_left_out(tmp_path: Path) -> None:
    write(tmp_path, FIRST, b"one\ntwo\n")
    write(tmp_path, FIRST, b"again\n", attempt=1)
    write(tmp_path, SECOND, b"other\n")
    all_of_it = [started(FIRST), started(SECOND, name="other"), started(FIRST, 1)]

    def found(**only: object) -> list[str]:
        tail = RunTail(tmp_path, RUN, **only)  # type: ignore[arg-type]
        tail.take(all_of_it)
        return sorted(said(tail.read_all()))

    assert found(action=FIRST) == ["leaf#1 one", "leaf#1 two", "leaf#2 again"]
    assert found(attempt=0) == ["leaf#1 one", "leaf#1 two", "other#1 other"]
    assert found(last=1) == ["leaf#1 two", "leaf#2 again", "other#1 other"]


def test_thousands_that_ended_at_once_are_read_bit_by_bit(tmp_path: Path) -> None:
    tail = RunTail(tmp_path, RUN)
    actions = [ActionId(f"{number:032x}") for number in range(1200)]
    for action in actions:
        tail.take([started(action), ended(action)])
        write(tmp_path, action, b"x\n")
    assert len(tail.read()) == 500
    assert len(tail.read_all()) == 700


def test_what_would_tear_the_screen_is_taken_out() -> None:
    assert readable("10%\r50%\r100%\r", colour=False) == "100%"
    torn = "\x1b[31mred\x1b[0m\x1b[2J\x1b]0;title\x07 \x08end"
    assert readable(torn, colour=False) == "red end"
    assert readable(torn, colour=True) == "\x1b[31mred\x1b[0m end\x1b[0m"


def test_a_line_says_who_wrote_it() -> None:
    assert head_of(Writer(FIRST, "leaf", 0)) == "leaf aaaaaaaa |"
    assert head_of(Writer(FIRST, "leaf", 0, is_retried=True)) == "leaf aaaaaaaa#1 |"
    assert head_of(Writer(FIRST, "leaf", 1)) == "leaf aaaaaaaa#2 |"
    assert head_of(Writer(FIRST, "leaf", 1), is_one=True) == "attempt 2 |"
    assert head_of(Writer(FIRST, "leaf", 1), is_one=True, colour=True) == "\x1b[35mattempt 2 |\x1b[0m"


@given(data=st.data(), pieces=st.lists(st.binary(max_size=12), max_size=12))
def test_whatever_is_written_comes_out_once(
    data: st.DataObject, pieces: list[bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("logs")
    tail = RunTail(folder, RUN)
    tail.take([started(FIRST)])
    found: list[str] = []
    for piece in pieces:
        write(folder, FIRST, piece)
        if data.draw(st.booleans()):
            found += said(tail.read())
    found += said(tail.read_all())
    lines = b"".join(pieces).split(b"\n")
    wanted = lines if lines[-1] else lines[:-1]
    other = RunTail(folder, RUN)
    other.take([started(FIRST), ended(FIRST)])
    assert found == said(other.read_all())
    assert len(found) == len(wanted)


def test_long_output_is_read_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_BLOCK", 10)
    tail = RunTail(tmp_path, RUN)
    tail.take([started(FIRST)])
    write(tmp_path, FIRST, b"".join(b"line %d\n" % number for number in range(50)))
    first = said(tail.read())
    assert 0 < len(first) < 50
    assert len(first) + len(said(tail.read_all())) == 50


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
        following = Following(recorder, tmp_path, colour=False)
        following.accepted(run_record("r1"))
        following.changed([started(FIRST)])
        write(tmp_path, FIRST, b"one\nrest")
        following._look()
        assert recorder.said == ["leaf aaaaaaaa | one"]
        following.ended(run_record("r1"), None)
        following.close()

    asyncio.run(body())
    assert recorder.said == ["leaf aaaaaaaa | one", "leaf aaaaaaaa | rest", "ended"]
    assert recorder.changes == [started(FIRST)]
