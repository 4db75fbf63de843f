"""What a run looks like while it gets on: true counts, bounded lines, a drawing that fits."""

import asyncio
import copy
import cProfile
import io
import os
import pickle
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.client.fake_engine import NOW, change, run_record
from volant.client.canvas import Canvas
from volant.client.cells import width_of
from volant.client.drawing import Drawing
from volant.client.frames import Frames, shares
from volant.client.lines import Lines, format_seconds
from volant.client.outputs import Outputs
from volant.client.tally import Tally
from volant.model.ids import ActionId
from volant.model.phases import ActionPhase
from volant.model.records import Change, ChangeKind

FINAL = [phase for phase in ActionPhase if phase.is_final]


class Story:
    """Writes the feed of a run."""

    def __init__(self) -> None:
        self.changes: list[Change] = [change(1, ChangeKind.RUN_CREATED, name="main")]
        self.names: dict[str, str] = {}

    def add(self, kind: ChangeKind, action: str, **more: object) -> None:
        at = NOW + timedelta(seconds=len(self.changes))
        name = self.names.get(action, "")
        self.changes.append(change(len(self.changes) + 1, kind, action=ActionId(action), name=name, at=at, **more))

    def create(self, action: str, name: str, parent: str | None = None, group: str | None = None) -> None:
        self.names[action] = name
        self.add(ChangeKind.ACTION_CREATED, action, parent=parent, phase=ActionPhase.QUEUED, group=group)

    def start(self, action: str, attempt: int = 0) -> None:
        self.add(ChangeKind.ATTEMPT_STARTED, action, attempt=attempt)

    def fail_attempt(self, action: str, attempt: int = 0) -> None:
        self.add(ChangeKind.ATTEMPT_ENDED, action, attempt=attempt, phase=ActionPhase.FAILED, message="ValueError: no")

    def end(self, action: str, phase: ActionPhase = ActionPhase.SUCCEEDED, parent: str | None = "root") -> None:
        message = "ValueError: no" if phase is ActionPhase.FAILED else ""
        self.add(ChangeKind.ACTION_ENDED, action, phase=phase, message=message, parent=parent)


def fan_out(width: int, ended: int, failed: int = 0) -> Story:
    story = Story()
    story.create("root", "main")
    story.start("root")
    for number in range(width):
        story.create(f"a{number}", "leaf", "root")
    for number in range(ended):
        story.start(f"a{number}")
        story.end(f"a{number}", ActionPhase.FAILED if number < failed else ActionPhase.SUCCEEDED)
    return story


class TestTally:
    def test_equal_calls_of_a_parent_are_one_row(self) -> None:
        tally = Tally()
        tally.take(fan_out(1000, 400, failed=3).changes)
        rows = list(tally.rows())
        assert [(row.name, row.depth, row.total) for row in rows] == [("main", 0, 1), ("leaf", 1, 1000)]
        assert rows[1].counts[ActionPhase.SUCCEEDED] == 397
        assert rows[1].counts[ActionPhase.FAILED] == 3
        assert rows[1].live == 600
        assert tally.summary() == "1,001 actions: 397 succeeded, 3 failed, 1 running, 600 queued"

    def test_an_action_that_is_tried_again_is_queued_and_counted_as_retried(self) -> None:
        story = Story()
        story.create("root", "main")
        story.start("root")
        story.fail_attempt("root")
        tally = Tally()
        tally.take(story.changes)
        assert tally.summary() == "1 action: 1 queued, 1 retried"
        story.start("root", 1)
        tally.take(story.changes[-1:])
        assert tally.summary() == "1 action: 1 running, 1 retried"
        assert next(tally.rows()).last_attempt == 1

    def test_deep_recursion_stays_shallow(self) -> None:
        story = Story()
        for depth in range(500):
            story.create(f"a{depth}", "down", f"a{depth - 1}" if depth else None)
        tally = Tally()
        tally.take(story.changes)
        rows = list(tally.rows())
        assert len(rows) < 15
        assert sum(row.total for row in rows) == 500

    def test_very_many_names_stay_few_rows(self) -> None:
        story = Story()
        story.create("root", "main")
        for number in range(3000):
            story.create(f"a{number}", f"task{number}", "root")
        tally = Tally()
        tally.take(story.changes)
        rows = list(tally.rows())
        assert len(rows) <= 502
        assert sum(row.total for row in rows) == 3001

    def test_what_lived_when_the_run_ended_was_aborted(self) -> None:
        tally = Tally()
        tally.take(fan_out(3, 1).changes)
        tally.close(ActionPhase.ABORTED)
        assert tally.summary() == "4 actions: 1 succeeded, 3 aborted"

    @given(st.data())
    def test_counts_are_those_of_the_actions(self, data: st.DataObject) -> None:
        story = Story()
        phases: dict[str, ActionPhase] = {}
        for number in range(data.draw(st.integers(1, 12))):
            living = [name for name, phase in phases.items() if not phase.is_final]
            parent = data.draw(st.sampled_from([None, *living]))
            story.create(f"a{number}", data.draw(st.sampled_from("xyz")), parent)
            phases[f"a{number}"] = ActionPhase.QUEUED
            for action in data.draw(st.lists(st.sampled_from(sorted(phases)), max_size=4)):
                if phases[action].is_final:
                    continue
                if phases[action] is ActionPhase.QUEUED:
                    story.start(action)
                    phases[action] = ActionPhase.RUNNING
                else:
                    phases[action] = data.draw(st.sampled_from(FINAL))
                    story.end(action, phases[action])
        tally = Tally()
        tally.take(story.changes)
        counted = Counter(phases.values())
        assert {phase: count for phase, count in tally.counts.items() if count} == counted
        by_rows: Counter[ActionPhase] = Counter()
        for row in tally.rows():
            by_rows.update(row.counts)
        assert +by_rows == counted
        assert tally.total == len(phases)


class TestLines:
    @pytest.fixture
    def ticks(self) -> list[float]:
        return [0.0]

    def lines(self, ticks: list[float]) -> tuple[Lines, io.StringIO]:
        stream = io.StringIO()
        return Lines(stream, clock=lambda: ticks[0]), stream

    def test_a_thousand_actions_are_not_a_thousand_lines(self, ticks: list[float]) -> None:
        lines, stream = self.lines(ticks)
        lines.accepted(run_record())
        for each in fan_out(1000, 1000).changes:
            ticks[0] += 0.001
            lines.changed([each])
        ended = run_record(phase=ActionPhase.SUCCEEDED, ended_at=NOW + timedelta(seconds=3.25))
        lines.ended(ended, None)
        written = stream.getvalue().splitlines()
        assert written[0] == "run r1: env.main"
        assert len(written) <= 2 + ticks[0] + 1
        assert written[-1].startswith("run r1 SUCCEEDED in 3.2 s (1,001 actions: 1,000 succeeded")

    def test_failures_are_said_and_many_of_them_counted_only(self, ticks: list[float]) -> None:
        lines, stream = self.lines(ticks)
        lines.changed(fan_out(100, 100, failed=100).changes)
        written = stream.getvalue().splitlines()
        assert written[0] == "leaf: failed: ValueError: no"
        assert written[-1] == "further failures are counted only"
        assert len(written) == 21

    def test_an_attempt_that_is_tried_again_is_said(self, ticks: list[float]) -> None:
        lines, stream = self.lines(ticks)
        story = Story()
        story.create("root", "main")
        story.fail_attempt("root", 1)
        lines.changed(story.changes)
        assert stream.getvalue() == "main: attempt 2 failed, trying again: ValueError: no\n"

    def test_warnings_are_said(self, ticks: list[float]) -> None:
        lines, stream = self.lines(ticks)
        lines.changed([change(1, ChangeKind.WARNING, message="queue has no effect")])
        assert stream.getvalue() == "warning: queue has no effect\n"


class TestFrames:
    def frame(self, story: Story, *, width: int = 80, height: int = 24, is_ascii: bool = False) -> list[str]:
        tally = Tally()
        tally.take(story.changes)
        now = NOW + timedelta(seconds=100)
        frame = Frames(is_ascii=is_ascii).frame(tally, run_record(), now, columns=width, lines=height)
        assert all(width_of(line) < width for line in frame)
        assert len(frame) < max(height, 4)
        return ["".join(piece.text for piece in line) for line in frame]

    def test_ten_thousand_actions_are_a_few_lines(self) -> None:
        frame = self.frame(fan_out(10_000, 2_500, failed=3))
        assert len(frame) == 3
        assert frame[0] == "▸ r1  env.main  running  1 min 40 s  2,500/10,001 actions  3 failed  1 running"
        assert "leaf ×10,000" in frame[2]
        assert "2,500/10,000" in frame[2]
        assert "3 failed" in frame[2]

    @pytest.mark.parametrize("height", [4, 6, 10, 24, 60])
    @pytest.mark.parametrize("width", [2, 20, 40, 80, 200])
    def test_a_frame_fits_the_screen(self, width: int, height: int) -> None:
        story = Story()
        story.create("root", "main")
        for number in range(200):
            story.create(f"a{number}", f"task{number}", "root")
        frame = self.frame(story, width=width, height=height)
        if width >= 40:
            assert "more tasks" in frame[-1]

    def test_what_failed_and_what_runs_is_shown_before_the_rest(self) -> None:
        story = Story()
        story.create("root", "main")
        story.start("root")
        for number in range(100):
            story.create(f"a{number}", f"task{number}", "root")
            story.start(f"a{number}")
            if number != 60:
                story.end(f"a{number}", ActionPhase.FAILED if number == 80 else ActionPhase.SUCCEEDED)
        story.create("b", "below", "a60")
        story.start("b")
        frame = self.frame(story, height=9)
        assert [line.split()[1] for line in frame[1:-1]] == ["main", "task0", "task60", "below", "task80"]
        assert frame[-1].strip() == "… and 97 more tasks"

    def test_calls_in_groups_are_rows_of_their_own(self) -> None:
        story = Story()
        story.create("root", "main")
        for number in range(6):
            story.create(f"a{number}", "leaf", "root", group=f"month {number % 2}")
        frame = self.frame(story)
        assert ["leaf in month 0 ×3" in frame[2], "leaf in month 1 ×3" in frame[3]] == [True, True]

    def test_the_attempt_of_what_is_tried_again_is_shown(self) -> None:
        story = Story()
        story.create("root", "main")
        story.create("a", "leaf", "root")
        story.start("a")
        story.fail_attempt("a")
        story.start("a", 1)
        assert self.frame(story)[2].split()[1:4] == ["leaf", "running", "attempt"]
        assert "attempt 2" in self.frame(story)[2]

    def test_an_ascii_terminal_gets_ascii(self) -> None:
        frame = self.frame(fan_out(100, 50, failed=2), is_ascii=True)
        assert all(line.isascii() for line in frame)

    def test_wide_characters_take_two_cells(self) -> None:
        story = Story()
        story.create("root", "main")
        story.create("a", "数" * 100, "root")
        assert "…" in self.frame(story, width=60)[2]

    @given(st.integers(1, 300), st.lists(st.integers(0, 40), min_size=4, max_size=4))
    def test_a_bar_has_as_many_cells_as_it_has(self, more: int, counts: list[int]) -> None:
        sizes = shares(counts, sum(counts) + more, 16)
        assert sum(sizes) <= 16
        assert [size > 0 for size in sizes] == [count > 0 for count in counts]

    @given(st.lists(st.integers(0, 40), min_size=4, max_size=4).filter(any))
    def test_the_bar_of_what_is_over_is_full(self, counts: list[int]) -> None:
        assert sum(shares(counts, sum(counts), 16)) == 16

    def test_where_there_is_little_room_the_task_gives_way_to_the_counts(self) -> None:
        counts = self.frame(fan_out(2_000, 1_500, failed=7), width=68)[0]
        assert counts.endswith("7 failed  1 running")

    def test_a_frame_costs_the_same_however_many_actions_have_ended(self) -> None:
        """Counted in function calls, since time is not to be relied upon."""
        calls: list[int] = []
        for ended in (10, 5_000):
            tally = Tally()
            tally.take(fan_out(5_000, ended).changes)
            profile = cProfile.Profile()
            profile.runcall(Frames().frame, tally, run_record(), NOW, columns=80, lines=24)
            calls.append(sum(entry.callcount for entry in profile.getstats()))
        assert calls[1] <= calls[0] * 1.5


class Terminal(io.StringIO):
    """A terminal that shows what was written to it."""

    def __init__(self, columns: int = 80, lines: int = 24) -> None:
        super().__init__()
        self.screen = pyte.Screen(columns, lines)
        self._stream = pyte.Stream(self.screen)

    def isatty(self) -> bool:
        return True

    def write(self, text: str, /) -> int:
        # What a terminal does in its usual mode with the end of a line.
        self._stream.feed(text.replace("\n", "\r\n"))
        return super().write(text)

    @property
    def shown(self) -> list[str]:
        lines = [line.rstrip() for line in self.screen.display]
        while lines and not lines[-1]:
            lines.pop()
        return lines


class TestDrawing:
    def play(self, terminal: Terminal, feed: Callable[[Drawing], None]) -> None:
        async def body() -> None:
            drawing = Drawing(terminal, now=lambda: NOW + timedelta(seconds=100))
            feed(drawing)
            drawing.close()

        asyncio.run(body())

    def test_lines_above_stay_and_the_last_frame_too(self) -> None:
        terminal = Terminal()

        def feed(drawing: Drawing) -> None:
            drawing.accepted(run_record())
            drawing.changed([change(1, ChangeKind.WARNING, message="queue has no effect [x]")])
            drawing._tick()
            drawing.written(["leaf 1 | hello"])
            drawing.changed(fan_out(20, 10, failed=1).changes)
            drawing._tick()
            drawing.notice("the engine went away")

        self.play(terminal, feed)
        assert terminal.shown[:4] == [
            "warning: queue has no effect [x]",
            "leaf 1 | hello",
            "leaf: failed: ValueError: no",
            "the engine went away",
        ]
        assert len(terminal.shown) == 7
        assert terminal.shown[4].startswith("▸ r1  env.main")
        assert terminal.screen.cursor.hidden is False

    def test_many_failures_are_counted_only(self) -> None:
        terminal = Terminal(lines=40)
        self.play(terminal, lambda drawing: drawing.changed(fan_out(100, 100, failed=100).changes))
        assert sum("leaf: failed" in line for line in terminal.shown) == 10
        assert "further failures are counted only" in terminal.shown

    def test_a_run_that_ends_at_once_is_drawn_once(self) -> None:
        terminal = Terminal()

        def feed(drawing: Drawing) -> None:
            drawing.accepted(run_record())
            drawing.changed(fan_out(2, 2).changes)
            drawing.ended(run_record(phase=ActionPhase.SUCCEEDED, ended_at=NOW + timedelta(seconds=1)), None)

        self.play(terminal, feed)
        assert terminal.getvalue().count("\x1b[?25l") == 1
        assert terminal.shown[0].startswith("✓ r1  env.main  succeeded  1.0 s")

    @pytest.mark.parametrize("columns", [30, 40, 79])
    def test_a_terminal_that_gets_narrower_is_not_torn(self, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
        terminal = Terminal(columns=80)
        size = [80]
        monkeypatch.setattr(Canvas, "size", property(lambda _self: os.terminal_size((size[0], 24))))

        def feed(drawing: Drawing) -> None:
            drawing.accepted(run_record())
            drawing.changed(fan_out(2_000, 1_500, failed=1).changes)
            drawing._tick()
            # Terminals wrap what is there when they get narrower; the emulator does not, so it is written anew.
            before = terminal.shown
            terminal.screen.reset()
            terminal.screen.resize(24, columns)
            size[0] = columns
            terminal._stream.feed("".join(f"{line}\r\n" for line in before))
            drawing._tick()

        self.play(terminal, feed)
        assert [line.split()[0] for line in terminal.shown] == ["leaf:", "▸", "▸", "·"]

    def test_a_terminal_that_cuts_lines_when_it_gets_narrower_keeps_what_stands_above(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("XTERM_VERSION", "XTerm(390)")
        monkeypatch.delenv("TMUX", raising=False)
        terminal = Terminal(columns=80)
        size = [80]
        monkeypatch.setattr(Canvas, "size", property(lambda _self: os.terminal_size((size[0], 24))))
        terminal.write("what was there before\n")

        def feed(drawing: Drawing) -> None:
            drawing.accepted(run_record())
            drawing.changed(fan_out(2_000, 1_500).changes)
            drawing._tick()
            terminal.screen.resize(24, 30)
            size[0] = 30
            drawing._tick()

        self.play(terminal, feed)
        assert [line.split()[0] for line in terminal.shown] == ["what", "▸", "▸", "·"]

    def test_a_warning_is_broken_between_words(self, monkeypatch: pytest.MonkeyPatch) -> None:
        terminal = Terminal(columns=40)
        monkeypatch.setattr(Canvas, "size", property(lambda _self: os.terminal_size((40, 24))))

        def feed(drawing: Drawing) -> None:
            drawing.accepted(run_record())
            drawing.changed([change(2, ChangeKind.WARNING, message="retries of task 'a.b' are not enforced here")])

        self.play(terminal, feed)
        assert terminal.shown[:2] == ["warning: retries of task 'a.b' are not", "  enforced here"]

    def test_a_stream_that_breaks_does_not_end_the_watching(self) -> None:
        class Broken(Terminal):
            def flush(self) -> None:
                raise BrokenPipeError

        for make in (Drawing, Lines):
            stream = Broken()

            async def feed(make: Callable[..., Drawing | Lines] = make, stream: Broken = stream) -> None:
                reporter = make(stream)
                reporter.accepted(run_record())
                reporter.changed(fan_out(3, 3, failed=3).changes)
                reporter.written(["x"])
                reporter.notice("y")
                reporter.close()

            asyncio.run(feed())

    def test_closing_says_so(self) -> None:
        closed: list[bool] = []

        async def feed() -> None:
            drawing = Drawing(Terminal(), on_close=lambda: closed.append(True), now=lambda: NOW)
            drawing.accepted(run_record())
            drawing.close()

        asyncio.run(feed())
        assert closed == [True]


class TestOutputs:
    def test_outputs_are_a_tuple_with_numbered_names(self) -> None:
        found = Outputs((1, "x"))
        assert found == (1, "x")
        assert (found.o0, found.o1) == (1, "x")
        assert repr(found) == "Outputs(o0=1, o1='x')"
        first, second = found
        assert [first, second] == [1, "x"]

    def test_outputs_have_the_names_that_the_task_gave(self) -> None:
        found = Outputs((1, 2), ("mean", "count"))
        assert found.mean == 1
        assert found.count == 2  # not the method of tuples
        assert found.as_dict() == {"mean": 1, "count": 2}
        assert {"mean", "count"} <= set(dir(found))

    def test_an_unknown_output_is_an_error_that_lists_them(self) -> None:
        with pytest.raises(AttributeError, match="no output 'o1'; the outputs are o0"):
            _ = Outputs((1,)).o1
        with pytest.raises(AttributeError, match="the outputs are none"):
            _ = Outputs(()).o0

    def test_outputs_survive_copying_and_pickling(self) -> None:
        found = Outputs((1, 2), ("mean", "count"))
        for twin in (copy.deepcopy(found), pickle.loads(pickle.dumps(found))):
            assert twin == found
            assert twin.count == 2


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0 ms"), (0.0421, "42 ms"), (1, "1.0 s"), (59.94, "59.9 s"), (61, "1 min 01 s"), (7325, "2 h 02 min")],
)
def test_durations_are_for_people(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text
