"""How a worker finds the task that a spec names."""

from typing import Any, assert_never

from volant.authoring.resolvers import find_by_name, find_resolver
from volant.authoring.task import Task
from volant.model.errors import DefinitionTypeError
from volant.model.specs import Loader, LoaderKind


def load_task(loader: Loader) -> "Task[..., Any]":
    """Find a task in a worker; a main script must have been loaded as `__main__` before.

    Raises:
        DefinitionTypeError: what is found there is no task.
        Exception: whatever importing the user's module raises.
    """
    found = _found(loader)
    if not isinstance(found, Task):
        kind = type(found).__name__
        raise DefinitionTypeError(f"{loader.module}:{loader.qualname} is {found!r} ({kind}), expected a task")
    return found  # pyright: ignore[reportUnknownVariableType]


def _found(loader: Loader) -> object:
    match loader.kind:
        case LoaderKind.MODULE | LoaderKind.MAIN:
            return find_by_name(loader.module, loader.qualname)
        case LoaderKind.VALUE:
            # Only programs with such tasks load the pickler.
            from volant.authoring.by_value import task_from_bytes

            return task_from_bytes(loader.value)
        case LoaderKind.RESOLVER:
            return find_resolver(loader.module, loader.qualname).load_task(list(loader.arguments))
        case _:
            assert_never(loader.kind)
