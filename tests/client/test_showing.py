"""What a run looks like while it gets on: true counts, bounded lines, a drawing that fits."""

import asyncio
import copy
import io
import pickle
from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from tests.client.fake_engine import NOW, change, run_record
from volant.client.drawing import Drawing
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

    def create(self, action: str, name: str, parent: str | None = None) -> None:
        self.names[action] = name
        self.add(ChangeKind.ACTION_CREATED, action, parent=parent, phase=ActionPhase.QUEUED)

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


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


class TestDrawing:
    def frame(self, drawing: Drawing, *, width: int = 80, height: int = 24) -> str:
        console = Console(file=io.StringIO(), width=width, height=height, force_terminal=False, color_system=None)
        with console.capture() as captured:
            console.print(drawing)
        return captured.get()

    def drawn(self, story: Story) -> Drawing:
        drawing = Drawing(Screen(), now=lambda: NOW + timedelta(seconds=100))

        async def feed() -> None:
            drawing.accepted(run_record())
            drawing.changed(story.changes)
            drawing.close()

        asyncio.run(feed())
        return drawing

    def test_ten_thousand_actions_are_a_few_lines(self) -> None:
        frame = self.frame(self.drawn(fan_out(10_000, 2_500)))
        assert len(frame.splitlines()) == 3
        assert "leaf ×10,000" in frame
        assert "2,500/10,000" in frame

    @pytest.mark.parametrize("height", [6, 10, 24, 60])
    def test_a_frame_fits_the_screen(self, height: int) -> None:
        story = Story()
        story.create("root", "main")
        for number in range(200):
            story.create(f"a{number}", f"task{number}", "root")
        frame = self.frame(self.drawn(story), height=height)
        assert len(frame.splitlines()) <= max(height, 6)
        assert "more" in frame.splitlines()[-1]

    @pytest.mark.parametrize("width", [20, 40, 80, 200])
    def test_the_header_is_one_line(self, width: int) -> None:
        frame = self.frame(self.drawn(fan_out(1000, 10)), width=width)
        assert len(frame.splitlines()) == 3
        assert max(map(len, frame.splitlines())) <= width

    def test_brackets_in_messages_are_no_markup(self) -> None:
        screen = Screen()
        drawing = Drawing(screen, now=lambda: NOW)

        async def feed() -> None:
            drawing.notice("[bold]left[/bold] run [x]")
            drawing.close()

        asyncio.run(feed())
        assert "[bold]left[/bold] run [x]" in screen.getvalue()

    def test_closing_says_so_and_restores_the_cursor(self) -> None:
        screen = Screen()
        closed: list[bool] = []
        drawing = Drawing(screen, on_close=lambda: closed.append(True), now=lambda: NOW)

        async def feed() -> None:
            drawing.accepted(run_record())
            drawing.close()

        asyncio.run(feed())
        assert closed == [True]
        assert screen.getvalue().count("\x1b[?25l") == screen.getvalue().count("\x1b[?25h")


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
