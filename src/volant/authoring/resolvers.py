"""How a worker finds a task: by name, or as the user's own resolver says."""

import importlib
import sys
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from volant.authoring.validation import refuse_type
from volant.model.errors import DefinitionError

if TYPE_CHECKING:
    from volant.authoring.task import Task


@runtime_checkable
class TaskResolver(Protocol):
    """Loads tasks by a policy of one's own.

    A worker gets the resolver by importing its class and calling it without arguments, or from
    `import_path` (`module:name` or `module.name`, a class or an instance) where there is one. What
    `loader_args` returns is all that it then knows about the task.
    """

    def loader_args(self, task: "Task[..., Any]", root_dir: str | None = None) -> list[str]:
        """What `load_task` needs to find *task*; *root_dir* is the folder of the file that declares it."""
        ...

    def load_task(self, loader_args: list[str]) -> "Task[..., Any]":
        """The task, in a worker."""
        ...


class DefaultResolver:
    """By module and qualified name."""

    def loader_args(self, task: "Task[..., Any]", root_dir: str | None = None) -> list[str]:
        """Module and qualified name of the task's function."""
        return [task.func.__module__, task.func.__qualname__]

    def load_task(self, loader_args: list[str]) -> "Task[..., Any]":
        """Import the module and look the name up in it."""
        module, qualname = loader_args
        task: Task[..., Any] = find_by_name(module, qualname)
        return task


def as_resolver(where: str, value: object) -> TaskResolver:
    """An object that is a resolver."""
    if isinstance(value, type) or not isinstance(value, TaskResolver):
        refuse_type(where, "task_resolver", value, "an object with loader_args(task) and load_task(loader_args)")
    return value


def resolver_path(resolver: TaskResolver) -> tuple[str, str]:
    """Module and qualified name that lead a worker to the resolver."""
    path = getattr(resolver, "import_path", None)
    if not isinstance(path, str):
        return type(resolver).__module__, type(resolver).__qualname__
    module, mark, qualname = path.partition(":") if ":" in path else path.rpartition(".")
    if not mark:
        raise DefinitionError(f"task_resolver: import_path is {path!r}, expected 'module:name'")
    return module, qualname


def find_resolver(module: str, qualname: str) -> TaskResolver:
    """The resolver of a path, made when the path names a class."""
    found = find_by_name(module, qualname)
    return as_resolver(f"{module}:{qualname}", found() if isinstance(found, type) else found)


def find_by_name(module: str, qualname: str) -> Any:
    """What a module holds under a dotted name; the module is imported when it is not yet."""
    found: Any = sys.modules.get(module) or importlib.import_module(module)
    for part in qualname.split("."):
        found = getattr(found, part)
    return found
