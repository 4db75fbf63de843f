"""Functions that take the place of tasks' own while they are executed in this process: how tests replace a task.

Only what an attempt calls is replaced. The task's name, interface and settings stay, so its inputs and what the
substitute returns are checked and recorded as ever.
"""

from collections.abc import Callable
from typing import Any

from volant.authoring.task import Task

Substitute = Callable[[Task[..., Any]], Callable[..., Any]]
"""Makes the function to call instead, `async` where the task is."""


class Substitutes:
    """By full name of the task, since one that travels by value arrives as another object."""

    def __init__(self) -> None:
        self._by_task: dict[str, list[Substitute]] = {}

    def put(self, task: str, substitute: Substitute) -> None:
        """From now on attempts at the task call what *substitute* makes; the newest one wins."""
        self._by_task.setdefault(task, []).append(substitute)

    def remove(self, task: str, substitute: Substitute) -> None:
        """Take one back; what it replaced counts again. Without effect when it is not there any more."""
        found = self._by_task.get(task, [])
        if substitute in found:
            found.remove(substitute)
        if not found:
            self._by_task.pop(task, None)

    def function_of(self, task: Task[..., Any]) -> Callable[..., Any]:
        """What an attempt at the task calls."""
        found = self._by_task.get(task.name)
        return task.func if found is None else found[-1](task)


substitutes = Substitutes()
"""Those of this process."""
