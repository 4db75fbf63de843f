"""The namespace of sandboxed tasks."""

from typing import NoReturn

from volant.model.errors import NotSupportedError


class Sandbox:
    """Tasks of restricted Python that need no process; none can be made in this version."""

    def __init__(self, environment: str) -> None:
        self._environment = environment

    def task(self, *args: object, **settings: object) -> NoReturn:
        """Raise `NotSupportedError`."""
        message = f"{self._environment}: sandboxed tasks are not available in this version"
        raise NotSupportedError(message, hint="use @env.task: every task runs in a process of its own")

    orchestrator = task
