"""The tree of a run: what is interesting comes first, equal things are folded, and no number is too large."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from volant.cli.trees import Line, tree_lines
from volant.model.control_protocol import ActionSummary
from volant.model.ids import ActionId
from volant.model.phases import ActionPhase

T0 = datetime(2026, 1, 1, tzinfo=UTC)
DONE, FAILED, RUNNING, QUEUED = ActionPhase.SUCCEEDED, ActionPhase.FAILED, ActionPhase.RUNNING, ActionPhase.QUEUED


def action(
    name: str, phase: ActionPhase = DONE, *, of: ActionSummary | None = None, at: int = 0, group: str | None = None
) -> ActionSummary:
    return ActionSummary(
        action=ActionId(f"{name}{at}"),
        parent=None if of is None else of.action,
        task=f"env.{name}",
        short_name=name,
        phase=phase,
        group=group,
        created_at=T0 + timedelta(seconds=at),
    )


def shown(actions: Sequence[ActionSummary], *, full: bool = False) -> list[str]:
    return [text(line) for line in tree_lines(actions, full=full)]


def text(line: Line) -> str:
    if not line.actions:
        return f"{line.hidden} more"
    first = line.actions[0]
    many = f" x{len(line.actions)}" if line.is_fold else ""
    below = f" ({line.below} below, {line.failed_below} failed)" if line.below else ""
    return f"{'  ' * line.depth}{first.short_name}{many} {first.phase.lower()}{below}"


def test_children_stand_below_their_parents() -> None:
    root = action("main", RUNNING)
    one = action("one", RUNNING, of=root, at=1)
    two = action("two", RUNNING, of=root, at=2)
    below = action("below", RUNNING, of=one, at=3)
    assert shown([root, one, two, below]) == [
        "main running",
        "  one running",
        "    below running",
        "  two running",
    ]


def test_what_failed_comes_first_then_what_is_under_way_then_what_waits() -> None:
    root = action("main", RUNNING)
    phases = [DONE, QUEUED, RUNNING, ActionPhase.ABORTED, FAILED]
    children = [action(f"t{phase.lower()}", phase, of=root, at=at) for at, phase in enumerate(phases, start=1)]
    assert [line.strip() for line in shown([root, *children])[1:]] == [
        "tfailed failed",
        "trunning running",
        "tqueued queued",
        "taborted aborted",
        "tsucceeded succeeded",
    ]


def test_a_branch_is_as_interesting_as_what_is_in_it() -> None:
    root = action("main", RUNNING)
    fine = action("fine", RUNNING, of=root, at=1)
    quiet = action("quiet", DONE, of=root, at=2)
    failed = action("leaf", FAILED, of=quiet, at=3)
    assert shown([root, fine, quiet, failed]) == [
        "main running",
        "  quiet succeeded",
        "    leaf failed",
        "  fine running",
    ]


def test_equal_leaves_are_folded_with_their_number() -> None:
    root = action("main", RUNNING)
    done = [action("leaf", DONE, of=root, at=at) for at in range(1, 1001)]
    running = [action("leaf", RUNNING, of=root, at=at) for at in range(2001, 2010)]
    queued = [action("leaf", QUEUED, of=root, at=at) for at in range(3001, 3100)]
    failed = [action("leaf", FAILED, of=root, at=at) for at in range(4001, 4011)]
    assert [line.strip() for line in shown([root, *done, *running, *queued, *failed])] == [
        "main running",
        *["leaf failed"] * 3,
        "leaf x7 failed",
        *["leaf running"] * 5,
        "leaf x4 running",
        "leaf queued",
        "leaf x98 queued",
        "leaf x1000 succeeded",
    ]


def test_a_few_are_not_folded_and_no_fold_is_of_one() -> None:
    root = action("main", RUNNING)
    for count, lines in ((3, ["leaf succeeded"] * 3), (4, ["leaf x4 succeeded"])):
        leaves = [action("leaf", DONE, of=root, at=at) for at in range(1, count + 1)]
        assert [line.strip() for line in shown([root, *leaves])[1:]] == lines
    failed = [action("leaf", FAILED, of=root, at=at) for at in range(1, 5)]
    assert [line.strip() for line in shown([root, *failed])[1:]] == ["leaf failed"] * 4


def test_leaves_of_other_groups_are_others() -> None:
    root = action("main", RUNNING)
    leaves = [action("leaf", DONE, of=root, at=at, group="ab"[at % 2]) for at in range(1, 9)]
    assert [line.strip() for line in shown([root, *leaves])[1:]] == ["leaf x4 succeeded"] * 2


def test_a_fold_of_branches_counts_what_is_below_and_what_failed_there() -> None:
    root = action("main", RUNNING)
    actions = [root]
    for at in range(1, 11):
        branch = action("branch", DONE, of=root, at=at)
        actions += [
            branch,
            action("leaf", FAILED, of=branch, at=100 + at),
            action("leaf", DONE, of=branch, at=200 + at),
        ]
    lines = [line.strip() for line in shown(actions)]
    assert lines[1:4] == ["branch succeeded", "leaf failed", "leaf succeeded"]
    assert lines[-1] == "branch x7 succeeded (14 below, 7 failed)"


def test_everything_is_shown_when_it_is_wanted_in_the_order_of_its_creation() -> None:
    root = action("main", RUNNING)
    leaves = [action("leaf", FAILED if at == 500 else DONE, of=root, at=at) for at in range(1, 1001)]
    lines = tree_lines([root, *leaves], full=True)
    assert [line.actions[0] for line in lines] == [root, *leaves]


def test_a_tree_deeper_than_pythons_recursion_is_cut_and_counted() -> None:
    actions = [action("deep", RUNNING)]
    for at in range(1, 5000):
        actions.append(action("deep", RUNNING, of=actions[-1], at=at))
    lines = tree_lines(actions)
    assert len(lines) == 101
    assert lines[-1].hidden == 4900
    assert len(tree_lines(actions, full=True)) == 5000


def test_an_action_whose_parent_is_not_there_stands_at_the_top() -> None:
    lost = action("lost", FAILED, of=action("gone"), at=1)
    assert shown([action("main"), lost]) == ["lost failed", "main succeeded"]


@given(
    st.lists(st.tuples(st.integers(0, 30), st.sampled_from(list(ActionPhase)), st.sampled_from("abc")), max_size=120),
    st.booleans(),
)
def test_every_action_is_in_one_line_or_counted(drawn: list[tuple[int, ActionPhase, str]], full: bool) -> None:
    actions = [action("main", RUNNING)]
    for at, (parent, phase, name) in enumerate(drawn, start=1):
        actions.append(action(name, phase, of=actions[min(parent, len(actions) - 1)], at=at))
    lines = tree_lines(actions, full=full)
    assert sum(len(line.actions) + line.below + line.hidden for line in lines) == len(actions)
    if full:
        assert len(lines) == len(actions)
    named = [each.action for line in lines for each in line.actions]
    assert len(named) == len(set(named))
