"""`volant.remote.Task`: tasks that runs of the home have used."""

from datetime import datetime

from volant.api.filters import check_limit
from volant.api.program import program
from volant.client.driving import BothWays
from volant.client.listing import Listing, Pages
from volant.kit.nearest import did_you_mean
from volant.model.control_protocol import ListTasks, TaskList, TaskRecord
from volant.model.errors import TaskNotFoundError
from volant.model.specs import ActionSpec

_MOST = 4000


async def _get(name: str) -> "Task":
    """The task of this full name, as it was used last.

    Raises:
        TaskNotFoundError: no run has used one of this name; the nearest one is named.
    """
    async with program.client().connection() as connection:
        found = await connection.ask(lambda number: ListTasks(request=number, task=name), TaskList)
        if found.tasks:
            return Task(found.tasks[0])
        known = await connection.ask(lambda number: ListTasks(request=number, limit=_MOST), TaskList)
    near = did_you_mean(name, [each.settings.task for each in known.tasks])
    msg = f"no run of this home has used a task named '{name}'{near}"
    raise TaskNotFoundError(msg, hint="a task's full name is <environment>.<function>")


def _listall(
    by_task_name: str | None = None, by_task_env: str | None = None, *, limit: int | None = 100
) -> "Pages[Task]":
    """Tasks that runs have used, the one that was used last first."""
    most = check_limit("Task.listall", limit)

    async def fetch(_cursor: int, _size: int) -> "tuple[list[Task], None]":
        async with program.client().connection() as connection:
            found = await connection.ask(
                lambda number: ListTasks(
                    request=number, task=by_task_name, environment=by_task_env, limit=most or _MOST
                ),
                TaskList,
            )
        return [Task(each) for each in found.tasks], None

    return Pages(fetch, first=0, limit=most)


class Task:
    """A task as it was used last. The code itself is not kept: only its name and its settings."""

    get = BothWays(_get, "Task.get", _get.__doc__)
    listall = Listing(_listall, "Task.listall", _listall.__doc__)

    def __init__(self, record: TaskRecord) -> None:
        self._record = record

    @property
    def name(self) -> str:
        """Its full name, `<environment>.<function>`."""
        return self._record.settings.task

    @property
    def short_name(self) -> str:
        """Its name for people."""
        return self._record.settings.short_name

    @property
    def environment(self) -> str:
        """The environment that declares it."""
        return self._record.settings.environment

    @property
    def description(self) -> str:
        """What its documentation says."""
        return self._record.settings.description

    @property
    def version(self) -> str:
        """Digest of its settings: it changes when they do."""
        return self._record.spec

    @property
    def used_at(self) -> datetime:
        """When a run last began to use it."""
        return self._record.used_at

    @property
    def settings(self) -> ActionSpec:
        """Everything that was decided about it: resources, retries, timeouts, cache, image."""
        return self._record.settings

    def __repr__(self) -> str:
        return f"Task(name={self.name!r}, used_at={self.used_at:%Y-%m-%dT%H:%M:%SZ})"
