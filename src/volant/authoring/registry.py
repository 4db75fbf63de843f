"""The environments of a process, by name."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from volant.model.errors import DuplicateNameError

if TYPE_CHECKING:
    from volant.authoring.environment import TaskEnvironment


class EnvironmentRegistry:
    """Keeps environments that were defined in this process; those that were unpickled are not added."""

    def __init__(self) -> None:
        self._environments: dict[str, TaskEnvironment] = {}

    def add(self, environment: "TaskEnvironment") -> None:
        """Add an environment; it replaces one that the same source made when it ran before.

        Raises:
            DuplicateNameError: another part of the source defines one of this name.
        """
        known = self._environments.get(environment.name)
        if known is not None and not environment.declaration.is_same_source(known.declaration):
            message = f"TaskEnvironment {environment.name!r} is defined at {environment.declaration}, "
            message += f"but there is one of this name already, from {known.declaration}"
            raise DuplicateNameError(message, hint="rename one of them; the names of tasks begin with it")
        self._environments[environment.name] = environment

    def get(self, name: str) -> "TaskEnvironment | None":
        """The environment of this name."""
        return self._environments.get(name)

    def __iter__(self) -> Iterator["TaskEnvironment"]:
        return iter(tuple(self._environments.values()))

    @contextmanager
    def isolated(self) -> Generator[None]:
        """Start empty, and forget afterwards what was added: for tests that define environments."""
        before, self._environments = self._environments, {}
        try:
            yield
        finally:
            self._environments = before


default_registry = EnvironmentRegistry()
