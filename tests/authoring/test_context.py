"""Where running code is: `volant.ctx()` and `volant.group(name)`."""

import asyncio
from datetime import UTC, datetime

import pytest

from tests.authoring.sessions import LocalSession
from volant.authoring.context import ctx, group
from volant.authoring.environment import TaskEnvironment
from volant.model.errors import CallError, DefinitionError

ENV = TaskEnvironment("contexts")


@ENV.task
async def job(n: int) -> int:
    return n


@ENV.task
def sync_job(n: int) -> int:
    return n


def test_outside_a_run_the_context_is_false_and_plain_where_it_can_be() -> None:
    found = ctx()
    assert not found
    assert (found.attempt_number, found.data, found.custom_context, found.mode) == (0, {}, {}, "")
    assert found.checkpoint is None
    assert repr(found) == "<context: outside a run>"


@pytest.mark.parametrize("name", ["action", "raw_data_path", "run_start_time", "task"])
def test_outside_a_run_what_only_a_run_has_is_an_error(name: str) -> None:
    with pytest.raises(CallError, match=rf"volant.ctx\(\).{name} is read outside a run"):
        getattr(ctx(), name)


def test_inside_a_run_the_context_says_where(session: LocalSession) -> None:
    found = ctx()
    assert found
    assert (found.action.name, found.action.run_name, found.action.parent_name) == ("a1", "r1", "a0")
    assert (found.action.task_name, found.action.short_name, found.task) == ("env.parent", "parent", "env.parent")
    assert (found.attempt_number, found.raw_data_path, found.mode) == (2, "/raw", "local")
    assert found.run_start_time == datetime(2026, 1, 2, tzinfo=UTC)
    assert repr(found) == "<context: env.parent, run r1, action a1>"


def test_data_is_the_users_own_and_the_custom_context_a_copy(session: LocalSession) -> None:
    ctx().data["seen"] = 1
    ctx().custom_context["team"] = "other"
    assert ctx().data.pop("seen") == 1
    assert ctx().custom_context == {"team": "ops"}


def test_calls_inside_a_group_carry_its_path(session: LocalSession) -> None:
    with group("train"):
        sync_job(1)
        with group("fold"):
            sync_job(2)
        sync_job(3)
    sync_job(4)
    assert [call.group for call in session.calls] == ["train", "train/fold", "train", None]
    assert ctx()


def test_groups_of_concurrent_calls_do_not_mix(session: LocalSession) -> None:
    async def branch(name: str, n: int) -> None:
        async with group(name):
            await asyncio.sleep(0)
            await job(n)

    async def parent() -> None:
        with group("all"):
            await asyncio.gather(branch("a", 1), branch("b", 2))
            await job(3)

    asyncio.run(parent())
    found = {call.arguments["n"]: call.group for call in session.calls}
    assert found == {1: "all/a", 2: "all/b", 3: "all"}


def test_a_group_ends_with_an_exception(session: LocalSession) -> None:
    with pytest.raises(ZeroDivisionError), group("train"):
        raise ZeroDivisionError
    sync_job(1)
    assert session.calls[0].group is None


def test_outside_a_run_a_group_does_nothing() -> None:
    with group("train"):
        assert sync_job(1) == 1


def test_a_group_has_a_name() -> None:
    with pytest.raises(DefinitionError, match="group: name is ''"):
        group("")
