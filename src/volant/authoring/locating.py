"""Where a task is to be found by another process: the loader of its spec."""

import os
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from volant.authoring.resolvers import TaskResolver, resolver_path
from volant.model.specs import Loader, LoaderKind

if TYPE_CHECKING:
    from volant.authoring.task import Task

_MAIN = "__main__"


def loader_of(task: "Task[..., Any]", resolver: TaskResolver | None) -> Loader:
    """How a worker can find the task.

    Raises:
        CallError: it would have to travel by value, and cannot.
    """
    if resolver is not None:
        module, qualname = resolver_path(resolver)
        arguments = tuple(resolver.loader_args(task, task.declaration.folder))
        return Loader(kind=LoaderKind.RESOLVER, module=module, qualname=qualname, arguments=arguments)
    if place := place_of(task):
        module, qualname = place
        return Loader(kind=LoaderKind.MAIN if module == _MAIN else LoaderKind.MODULE, module=module, qualname=qualname)
    # Only programs with such tasks load the pickler.
    from volant.authoring.by_value import task_to_bytes

    return Loader(
        kind=LoaderKind.VALUE,
        module=task.func.__module__,
        qualname=task.func.__qualname__,
        value=task_to_bytes(task.root),
    )


def place_of(task: "Task[..., Any]") -> tuple[str, str] | None:
    """Module and name that lead another process to the task, or None when it has to travel by value."""
    function = task.func
    for name in dict.fromkeys((function.__module__, task.declaration.module)):
        module = sys.modules.get(name)
        if module is None or not _can_be_loaded(module):
            continue
        if _walk(module, function.__qualname__) is task.root:
            return name, function.__qualname__
        if "<locals>" in function.__qualname__:
            # A name for it may be bound where a worker never comes, such as behind the `__main__` guard.
            continue
        for key, value in vars(module).items():
            if value is task.root:
                return name, key
    return None


def _can_be_loaded(module: ModuleType) -> bool:
    file = getattr(module, "__file__", None)
    if module.__name__ == _MAIN:
        return file is not None and os.path.isfile(file)
    return file is not None and module.__spec__ is not None


def _walk(module: ModuleType, qualname: str) -> object:
    found: object = module
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return found
