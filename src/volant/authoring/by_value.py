"""The adapter to cloudpickle: tasks that no module name leads to travel as bytes."""

import pickle
from typing import TYPE_CHECKING, Any, cast

from volant.model.errors import CallError
from volant.values.cloudpickling import dumps

if TYPE_CHECKING:
    from volant.authoring.task import Task


def task_to_bytes(task: "Task[..., Any]") -> bytes:
    """The task and everything it reaches.

    Raises:
        CallError: it reaches something that cannot be pickled.
    """
    try:
        return dumps(task)
    except Exception as error:
        message = f"task {task.name!r} is no module's attribute, so it travels by value, but cannot: {error}"
        hint = "define the task at the top level of a module, or make what it refers to there picklable"
        raise CallError(message, hint=hint) from error


def task_from_bytes(data: bytes) -> "Task[..., Any]":
    """What `task_to_bytes` wrote."""
    return cast("Task[..., Any]", pickle.loads(data))
