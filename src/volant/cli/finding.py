"""From a file or a module, and a name, to the task that is meant."""

import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Callable
from itertools import compress
from pathlib import Path
from types import ModuleType
from typing import Any

from volant.authoring.task import Task
from volant.bundle.code import PACKAGE_ROOT
from volant.bundle.loading import importing_tasks, load_file_as_module
from volant.cli.failing import WrongCommandLine
from volant.kit.nearest import did_you_mean
from volant.model.errors import CallError, VolantError
from volant.values.failing.formatting import kept
from volant.values.failing.text import message_of

_OWN = os.path.join(PACKAGE_ROOT, "volant")


class FileFailed(CallError):
    """The user's file cannot be imported; `lines` is the traceback, without frames of ours."""

    def __init__(self, message: str, *, lines: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.lines = lines


def load_tasks(file: str) -> dict[str, Task[..., Any]]:
    """Import *file*, which may also be the dotted name of a module, and give its tasks by the names they have in it.

    Raises:
        WrongCommandLine: there is no such file or module, or it has no tasks.
        FileFailed: it raises when it is imported.
    """
    names: dict[str, object] = vars(_execute(file, _loader_of(file)))
    tasks: dict[str, Task[..., Any]] = {name: value for name, value in names.items() if isinstance(value, Task)}
    if not tasks:
        raise WrongCommandLine(f"{file} has no tasks", hint="a task is a function decorated with @env.task")
    return tasks


def choose_task(file: str, name: str | None, tasks: dict[str, Task[..., Any]]) -> Task[..., Any] | None:
    """The task of this name or full name; without one the only entrypoint, or the only task; None if there are more.

    Raises:
        WrongCommandLine: there is none of that name; the nearest one is named.
    """
    if name is not None:
        return _named(file, name, tasks)
    own = own_tasks(tasks)
    entrypoints = [task for task in own.values() if task.entrypoint]
    for candidates in (entrypoints, list(own.values())):
        if len(candidates) == 1:
            return candidates[0]
    return None


def own_tasks(tasks: dict[str, Task[..., Any]]) -> dict[str, Task[..., Any]]:
    """Each task once, by its first name."""
    seen: dict[int, str] = {}
    for name, task in tasks.items():
        seen.setdefault(id(task.root), name)
    return {name: tasks[name] for name in seen.values()}


def _named(file: str, name: str, tasks: dict[str, Task[..., Any]]) -> Task[..., Any]:
    if name in tasks:
        return tasks[name]
    for task in tasks.values():
        if task.name == name:
            return task
    names = [*tasks, *(task.name for task in tasks.values())]
    suggestion = did_you_mean(name, names) or did_you_mean(name.replace("-", "_"), names)
    raise WrongCommandLine(f"{file} has no task {name!r}{suggestion}", hint=f"it has {', '.join(own_tasks(tasks))}")


def _loader_of(file: str) -> Callable[[], ModuleType]:
    """What imports it.

    Raises:
        WrongCommandLine: it is neither a file nor a module.
    """
    if not file:
        raise WrongCommandLine("FILE is empty, expected a Python file or a module")
    path = Path(file)
    if path.is_file():
        _refuse_other_files(path)
        return lambda: load_file_as_module(path)
    if path.is_dir():
        raise WrongCommandLine(f"{file} is a folder, expected a Python file{_python_files_in(path)}")
    if path.suffix != ".py" and all(part.isidentifier() for part in file.split(".")):
        # As `python -m` does: where the command is given is where modules are looked for first.
        try:
            here = os.getcwd()
        except OSError as error:
            msg = f"the current folder cannot be used: {error.strerror}"
            raise WrongCommandLine(msg, hint="cd into one that is there") from error
        if here not in sys.path:
            sys.path.insert(0, here)
        top = file.partition(".")[0]
        if importlib.util.find_spec(top) is not None:
            return lambda: importlib.import_module(file)
    raise WrongCommandLine(
        f"{file} does not exist, expected a Python file or a module{_similar_file(path)}", hint=_task_inside(file)
    )


def _refuse_other_files(path: Path) -> None:
    if path.suffix == ".py":
        return
    hint = (
        "in a cell of it, volant.run(task) runs one"
        if path.suffix == ".ipynb"
        else "name the file that holds the tasks"
    )
    what = f"ends in {path.suffix}" if path.suffix else "has no ending"
    raise WrongCommandLine(f"{path} is no Python file: its name {what}, expected .py", hint=hint)


def _task_inside(file: str) -> str | None:
    """How to name the task that other programs would find in `file.py:task` and `file.task`."""
    for mark in ("::", ":", "."):
        before, found, task = file.rpartition(mark)
        candidate = before if before.endswith(".py") else f"{before}.py"
        if found and task.isidentifier() and task != "py" and Path(candidate).is_file():
            return f"volant run {candidate} {task}"
    return None


def _execute(file: str, load: Callable[[], ModuleType]) -> ModuleType:
    try:
        with importing_tasks():
            return load()
    except VolantError as error:
        lines = user_traceback(error)
        raise FileFailed(f"{file} cannot be imported: {error}", lines=lines, hint=error.hint) from error
    except ModuleNotFoundError as error:
        if error.name is not None and (file == error.name or file.startswith(f"{error.name}.")):
            raise WrongCommandLine(f"there is no module {error.name!r}", hint=_task_inside(file)) from None
        raise _failed(file, error) from error
    except (Exception, SystemExit) as error:
        raise _failed(file, error) from error


def _failed(file: str, error: BaseException) -> FileFailed:
    message = message_of(error)
    what = f"{type(error).__name__}: {message}" if message else type(error).__name__
    hint: str | None = None
    if isinstance(error, SystemExit):
        what = f"it exits while it is imported ({what})"
        hint = "what a script does when it is run stands behind: if __name__ == '__main__':"
    elif isinstance(error, ImportError) and "relative import with no known parent" in message:
        hint = "a file that is in no package imports its neighbours by their names: from neighbour import name"
    return FileFailed(f"{file} cannot be imported: {what}", lines=user_traceback(error), hint=hint)


def user_traceback(error: BaseException) -> str:
    """The traceback with the user's frames only, and those of what was raised before it in the user's code.

    What we raise ourselves is said in words, so of that there are the frames alone.
    """
    shown = traceback.TracebackException.from_exception(error)
    waiting = [shown]
    seen: set[int] = set()
    while waiting:
        each = waiting.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        _leave_out_ours(each)
        if each.__context__ is not None and not _leave_out_ours(each.__context__):
            each.__context__ = None
        waiting += [other for other in (each.__cause__, each.__context__, *(each.exceptions or ())) if other]
    if isinstance(error, VolantError):
        return "".join(["Traceback (most recent call last):\n", *shown.stack.format()]) if shown.stack else ""
    return "".join(shown.format())


def _leave_out_ours(shown: traceback.TracebackException) -> bool:
    """Whether anything of the user's is left."""
    frames = [frame for frame in shown.stack if not frame.filename.startswith("<frozen importlib")]
    shown.stack[:] = compress(frames, kept([frame.filename for frame in frames], [_OWN]))
    return bool(shown.stack)


def _python_files_in(folder: Path) -> str:
    names = sorted(entry.name for entry in folder.glob("*.py"))[:5]
    return f", such as {folder / names[0]}" if names else ""


def _similar_file(path: Path) -> str:
    try:
        names = [entry.name for entry in path.parent.iterdir() if entry.suffix == ".py"]
    except OSError:
        return ""
    # A name without its ending is a module's; what is meant is mostly the file.
    found = did_you_mean(path.name, names) or did_you_mean(f"{path.name}.py", names)
    return found.replace("did you mean '", f"did you mean '{path.parent / ''}/", 1) if path.parent.name else found
