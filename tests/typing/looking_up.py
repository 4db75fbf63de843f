"""What type checkers see of runs, actions and tasks that are looked up: checked by `test_typing.py`, never run."""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any, assert_type

import volant
from volant.client.actions import ActionHandle
from volant.client.outputs import Outputs
from volant.model.control_protocol import ActionDetails
from volant.remote import Action, Run, Task


def sync() -> None:
    assert_type(Run.get("name"), Run[Any])
    assert_type(Run.listall(), Iterator[Run[Any]])
    assert_type(
        Run.listall(["failed"], "env.main", labels={"a": "b"}, since=timedelta(1), limit=None), Iterator[Run[Any]]
    )
    assert_type(volant.Run.listall(in_phase=[volant.ActionPhase.FAILED]), Iterator[volant.Run[Any]])
    assert_type(volant.remote.Action.get("run", "name"), Action)
    action = Action.get(run_name="run", name="name")
    assert_type(Action.listall("run", in_phase=["failed"], limit=3), Iterator[Action])
    assert_type(action.phase, volant.ActionPhase)
    assert_type(action.inputs(), dict[str, Any])
    assert_type(action.outputs(), Outputs)
    assert_type(action.details(), ActionDetails)
    assert_type(action.logs(attempt=0), str)
    assert_type(action.sync(), ActionHandle)
    assert_type(Task.get("env.main"), Task)
    assert_type(Task.listall(by_task_env="env"), Iterator[Task])
    assert_type(Run.get("name").inputs(), dict[str, Any])


async def through_aio() -> None:
    assert_type(await Run.get.aio("name"), Run[Any])
    assert_type(Run.listall.aio(limit=3), AsyncIterator[Run[Any]])
    async for run in Run.listall.aio():
        assert_type(run, Run[Any])
    async for action in Action.listall.aio("run"):
        assert_type(await action.outputs.aio(), Outputs)
        assert_type(await action.abort.aio("enough"), None)
    assert_type(await Task.get.aio("env.main"), Task)


def mistakes() -> None:
    Run.listall(phase=["failed"])  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Run.listall(limit="3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Action.listall()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Action.get("run")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Task.get(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
