"""From a file and a name to the task that is meant."""

import os
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from volant.authoring.task import Task
from volant.bundle.code import PACKAGE_ROOT
from volant.bundle.loading import load_file_as_module
from volant.kit.nearest import did_you_mean
from volant.model.errors import CallError, VolantError


class FileFailed(CallError):
    """The user's file cannot be imported; `lines` is the traceback, without frames of ours."""

    def __init__(self, message: str, *, lines: str) -> None:
        super().__init__(message)
        self.lines = lines


def load_tasks(file: str) -> dict[str, Task[..., Any]]:
    """Import *file* and give its tasks by the names they have in it.

    Raises:
        CallError: there is no such file, or it has no tasks.
        FileFailed: it raises when it is imported.
    """
    path = Path(file)
    if not path.is_file():
        where = "is a folder" if path.is_dir() else "does not exist"
        raise CallError(f"{file} {where}, expected a Python file{_similar_file(path)}")
    module = _load(path, file)
    names: dict[str, object] = vars(module)
    tasks: dict[str, Task[..., Any]] = {name: value for name, value in names.items() if isinstance(value, Task)}
    if not tasks:
        raise CallError(f"{file} has no tasks", hint="a task is a function decorated with @env.task")
    return tasks


def choose_task(file: str, name: str | None, tasks: dict[str, Task[..., Any]]) -> Task[..., Any]:
    """The task of this name or full name; without one the only entrypoint, or the only task.

    Raises:
        CallError: there is none, or several; they are listed.
    """
    if name is not None:
        return _named(file, name, tasks)
    own = _own_tasks(tasks)
    entrypoints = {name: task for name, task in own.items() if task.entrypoint}
    for candidates in (entrypoints, own):
        if len(candidates) == 1:
            return next(iter(candidates.values()))
    several = "several entrypoints" if entrypoints else f"{len(own)} tasks and no entrypoint"
    listed = ", ".join(entrypoints or own)
    raise CallError(f"{file} has {several}, expected a name: {listed}", hint=f"volant run {file} {next(iter(own))}")


def _named(file: str, name: str, tasks: dict[str, Task[..., Any]]) -> Task[..., Any]:
    if name in tasks:
        return tasks[name]
    by_full_name = {task.name: task for task in tasks.values()}
    for full_name, task in by_full_name.items():
        if full_name == name:
            return task
    listed = ", ".join(tasks)
    raise CallError(f"{file} has no task {name!r}{did_you_mean(name, tasks)}", hint=f"it has {listed}")


def _own_tasks(tasks: dict[str, Task[..., Any]]) -> dict[str, Task[..., Any]]:
    """Each task once, by its first name."""
    seen: dict[int, str] = {}
    for name, task in tasks.items():
        seen.setdefault(id(task.root), name)
    return {name: tasks[name] for name in seen.values()}


def _load(path: Path, file: str) -> ModuleType:
    try:
        return load_file_as_module(path)
    except VolantError:
        raise
    except (Exception, SystemExit) as error:
        what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise FileFailed(f"{file} cannot be imported: {what}", lines=_user_traceback(error)) from error


def _user_traceback(error: BaseException) -> str:
    """The traceback from the user's first frame on."""
    own = os.path.join(PACKAGE_ROOT, "volant", "")
    frame = error.__traceback__
    while frame is not None and (
        frame.tb_frame.f_code.co_filename.startswith((own, "<frozen importlib")) and frame.tb_next is not None
    ):
        frame = frame.tb_next
    return "".join(traceback.format_exception(type(error), error, frame))


def _similar_file(path: Path) -> str:
    try:
        names = [entry.name for entry in path.parent.iterdir() if entry.suffix == ".py"]
    except OSError:
        return ""
    return did_you_mean(path.name, names)
