"""`volant.remote`: runs, actions and tasks that other programs made, and what they tell."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

import volant
from tests.api import tasks
from volant import errors
from volant.remote import Action, Run, Task


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    """Names of runs, by what became of them."""
    return {}


def run_of(made: dict[str, str], what: str) -> str:
    if what not in made:
        runner = volant.with_runcontext(labels={"test": "remote", "kind": what})
        match what:
            case "fine":
                made[what] = runner.run(tasks.both, number=5).name
            case "failed":
                with pytest.raises(KeyError):
                    runner.run(tasks.fails, "unknown")
                (run,) = Run.listall(labels={"test": "remote", "kind": what}, limit=1)
                made[what] = run.name
    return made[what]


def test_a_run_is_found_by_name_and_by_the_beginning_of_it(made: dict[str, str]) -> None:
    name = run_of(made, "fine")
    assert Run.get(name).name == name
    assert Run.get(name[:-1]).result() == 16
    assert volant.remote.Run is volant.Run


def test_runs_are_listed_newest_first_and_narrowed(made: dict[str, str]) -> None:
    fine, failed = run_of(made, "fine"), run_of(made, "failed")
    ours = {"test": "remote"}
    assert [run.name for run in Run.listall(labels=ours)] == [failed, fine]
    assert [run.name for run in Run.listall(labels=ours, limit=1)] == [failed]
    assert [run.name for run in Run.listall(["succeeded"], labels=ours)] == [fine]
    assert [run.name for run in Run.listall("failed", labels=ours)] == [failed]
    assert [run.name for run in Run.listall([volant.ActionPhase.FAILED], labels=ours)] == [failed]
    assert [run.name for run in Run.listall(task_name="api-tests.both", labels=ours)] == [fine]
    assert len(list(Run.listall(labels=ours, since=timedelta(hours=1)))) == 2
    assert list(Run.listall(labels=ours, since=datetime.now(UTC) + timedelta(days=1))) == []


async def test_lists_are_read_page_by_page_in_async_code_too(
    made: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("volant.client.listing._PAGE", 1)
    names = [run.name async for run in Run.listall.aio(limit=None, labels={"test": "remote"})]
    assert names == [made["failed"], made["fine"]]
    actions = [action.task_name async for action in Action.listall.aio(made["fine"])]
    assert actions[0] == "api-tests.both"
    assert len(actions) > 2
    assert [each.task_name async for each in Action.listall.aio(made["fine"], limit=2)] == actions[:2]


def test_actions_tell_their_place_their_values_and_their_output(made: dict[str, str]) -> None:
    root, *others = Action.listall(run_of(made, "fine"))
    assert root.parent is None
    assert {each.parent for each in others} == {root.name}
    assert root.phase is volant.ActionPhase.SUCCEEDED
    assert root.done()
    assert root.inputs() == {"number": 5}
    assert root.outputs() == (16,)
    assert root.attempts == 1
    assert root.start_time is not None
    assert root.end_time is not None
    assert root.created_at <= root.start_time <= root.end_time
    assert root.logs() == ""
    root.wait()
    assert root.sync() is root
    assert root.details().action.task == "api-tests.both"
    assert [each.name for each in Action.listall(root.run_name, in_phase=["failed"])] == []


def test_one_action_is_found_by_id_or_by_its_task(made: dict[str, str]) -> None:
    name = run_of(made, "fine")
    root = Action.get(name, "both")
    assert Action.get(name, root.name[:8]).name == root.name
    assert Action.get(run_name=name[:-1], name="api-tests.both").name == root.name
    with pytest.raises(errors.ActionNotFoundError, match="did you mean 'both'"):
        Action.get(name, "btoh")


def test_a_failed_action_raises_what_it_raised(made: dict[str, str]) -> None:
    action = Action.get(run_of(made, "failed"), "fails")
    with pytest.raises(KeyError) as caught:
        action.outputs()
    assert caught.value.args == ("unknown",)
    assert Run.get(action.run_name).inputs() == {"key": "unknown"}


async def test_actions_are_waited_for_and_aborted(made: dict[str, str]) -> None:
    run = await volant.with_runcontext(wait=False).run.aio(tasks.sleeps, 1000.0)
    action = await Action.get.aio(run.name, "sleeps")
    assert not action.done()
    with pytest.raises(errors.RuntimeSystemError, match="has no outputs"):
        await action.outputs.aio()
    await action.abort.aio("enough")
    await action.wait.aio()
    assert action.phase is volant.ActionPhase.ABORTED
    await action.abort.aio()  # nothing happens to one that has ended


def test_tasks_that_runs_have_used_are_listed_the_last_one_first(made: dict[str, str]) -> None:
    run_of(made, "fine")
    volant.run(tasks.double, 1)
    newest = next(Task.listall())
    assert newest.name == "api-tests.double"
    assert newest.environment == "api-tests"
    assert newest.short_name == "double"
    assert newest.settings.task == newest.name
    assert newest.used_at <= datetime.now(UTC)
    assert [task.name for task in Task.listall(by_task_name="api-tests.both")] == ["api-tests.both"]
    assert list(Task.listall(by_task_env="nowhere")) == []
    assert len(list(Task.listall(limit=1))) == 1
    found = Task.get("api-tests.both")
    assert found.version == next(Task.listall("api-tests.both")).version
    with pytest.raises(errors.TaskNotFoundError, match=r"did you mean 'api-tests\.both'"):
        Task.get("api-tests.botj")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Run.listall(["done"]), errors.DefinitionError, "Run.listall: in_phase has 'done'"),
        (lambda: Run.listall(["runing"]), errors.DefinitionError, "did you mean 'RUNNING'"),
        (lambda: Run.listall(limit=0), errors.DefinitionError, "limit is 0, expected at least 1"),
        (lambda: Run.listall(limit="2"), errors.DefinitionTypeError, "limit is '2'"),  # type: ignore[arg-type]
        (lambda: Run.listall(since="2h"), errors.DefinitionTypeError, "since is '2h'"),  # type: ignore[arg-type]
        (lambda: Run.listall(since=datetime(2026, 1, 1)), errors.DefinitionError, "has no time zone"),
        (lambda: Run.listall(labels={"a": 1}), errors.DefinitionTypeError, "labels['a'] is 1"),  # type: ignore[dict-item]
        (lambda: Action.listall("r", in_phase="doen"), errors.DefinitionError, "in_phase has 'doen'"),
        (lambda: next(Action.listall("nobody")), errors.RunNotFoundError, "no run named 'nobody'"),
    ],
)
def test_mistakes_are_said_where_they_are_written(
    call: Callable[[], object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as caught:
        call()
    assert message in str(caught.value)


async def test_the_sync_list_refuses_to_stop_a_running_loop(made: dict[str, str]) -> None:
    with pytest.raises(errors.CallError, match=r"Run\.listall\(\) was called where an event loop is running"):
        next(Run.listall())


def test_each_way_to_call_has_its_name_and_its_documentation() -> None:
    assert repr(Run.listall) == "<Run.listall, Run.listall.aio>"
    assert repr(Action.get) == "<Action.get, Action.get.aio>"
    assert "newest first" in (Run.listall.__doc__ or "")
