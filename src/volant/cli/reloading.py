"""The task of a run that another process submitted, loaded here: its parameters say how text is read as its values."""

import sys
from collections.abc import Sequence
from typing import Any

from volant.authoring.task import Task
from volant.bundle.archive import Archive
from volant.bundle.loading import importing_tasks, load_file_as_module, load_main
from volant.cli.failing import WrongCommandLine
from volant.cli.values import BadText, element_of, parse, parse_all
from volant.client.rerunning import Before, WhichCode, check_names
from volant.client.results import fetch, find_task
from volant.model.code import CodeSource
from volant.model.errors import NotSupportedError
from volant.ports.blobs import Blobs


def load_recorded(before: Before, which: WhichCode, blobs: Blobs) -> Task[..., Any]:
    """The root task of a run, from the code that the new run will have.

    Raises:
        NotSupportedError: it cannot be imported here.
    """
    code, run = before.code, before.run.run
    if which is WhichCode.ORIGINAL and code.archive is not None:
        Archive(fetch(code.archive, blobs)).install()
    sys.path += [entry for entry in code.sys_path if entry not in sys.path]
    try:
        _import(code)
    except (Exception, SystemExit) as error:  # the user's modules are imported: whatever they raise
        msg = f"--with reads values as task '{before.run.task}' of run '{run}' declares them, which cannot be imported"
        raise NotSupportedError(f"{msg} here: {type(error).__name__}: {error}") from error
    return find_task(before.root, run)


def read_values(task: Task[..., Any], texts: Sequence[str]) -> dict[str, object]:
    """The values that `NAME=VALUE` texts stand for, as options of `volant run` would.

    Raises:
        WrongCommandLine: a text names nothing, or stands for no value of its parameter.
        ArgumentError: the task has no such parameter.
    """
    given: dict[str, list[str]] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise WrongCommandLine(f"--with: found {text!r}, expected NAME=VALUE", hint=_signature(task))
        given.setdefault(name.replace("-", "_"), []).append(value)
    check_names(task, given)
    values: dict[str, object] = {}
    for name, found in given.items():
        try:
            values[name] = _read(found, task.interface.types[name])
        except BadText as error:
            raise WrongCommandLine(f"--with {name}: {error}", hint=_signature(task)) from error
    return values


def _read(texts: Sequence[str], annotation: Any) -> object:
    if element_of(annotation) is not None:
        return parse_all(texts, annotation)
    if len(texts) > 1:
        raise BadText(f"found {len(texts)} values, expected one")
    return parse(texts[0], annotation)


def _signature(task: Task[..., Any]) -> str:
    return f"the task is {task.name}{task.interface.describe()}"


def _import(code: CodeSource) -> None:
    with importing_tasks():
        for name, path in code.module_files:
            load_file_as_module(path, name=name)
        if code.main_script is not None and code.main_is_imported:
            load_main(code.main_script, package=code.main_package)
        for name in code.modules:
            if name not in sys.modules:
                __import__(name)
