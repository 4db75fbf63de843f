"""Which environments a task may call into once it is deployed: its own, and those that `depends_on` leads to."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from volant.authoring.environment import TaskEnvironment


class Reach:
    """What can be reached from one environment. Dependencies that are added later count."""

    __slots__ = ("_environment", "_names")

    def __init__(self, environment: "TaskEnvironment") -> None:
        self._environment = environment
        self._names = {environment.name}

    def warning_about(self, environment: "TaskEnvironment") -> str | None:
        """What to say of a call into *environment*; None where it is declared."""
        if environment.name in self._names:
            return None
        self._names = _reachable(self._environment)
        if environment.name in self._names:
            return None
        return (
            f"{self._environment.title} calls tasks of {environment.title} and does not reach it through depends_on: "
            "that works here, and not once it is deployed"
        )


def _reachable(start: "TaskEnvironment") -> set[str]:
    found = {start.name}
    waiting = [start]
    while waiting:
        for environment in waiting.pop().depends_on:
            if environment.name not in found:
                found.add(environment.name)
                waiting.append(environment)
    return found
