"""Answers the completion script of a shell. It never starts an engine, never imports the user's code, and whatever
goes wrong is silence: an error in the middle of a command line helps nobody.

click finds which parameter is being written. What may stand there depends on the parameter's name alone, so that
every command gets completion by calling its parameters what others call them.
"""

import importlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem, shell_complete

from volant.cli.completion import VARIABLE
from volant.cli.outlining import Outline, chosen, outline_tasks
from volant.cli.table import COMMANDS, Entry, TableGroup, volant
from volant.cli.task_words import place_of_task
from volant.model.errors import SettingsError
from volant.ports.peeking import Glimpse, Peek
from volant.settings.catalogue import QUEUES, SETTINGS
from volant.settings.loading import load_settings
from volant.settings.tree import Mode, Settings
from volant.wiring.peeking import peek_at

_PATIENCE = 0.1
"""Seconds for a look into the journal."""
_MOST = 100

Items = list[CompletionItem[str]]
Words = Callable[[click.Context, str], Items]


def complete(instruction: str) -> int:
    """Print what may stand where the cursor is; the exit code."""
    root = _Table(COMMANDS, name="volant", params=volant.params, callback=volant.callback)
    _teach_params(root)
    try:
        return shell_complete(root, {}, "volant", VARIABLE, instruction)
    except Exception:  # noqa: BLE001 - the shell shows it in the middle of the line that is being typed
        return 1


class _Table(TableGroup):
    """Commands, of which only the one that is being written is imported."""

    def __init__(self, entries: Mapping[str, Entry], **attributes: Any) -> None:
        super().__init__(**attributes)
        self._entries = entries

    def shell_complete(self, ctx: click.Context, incomplete: str) -> Items:
        commands = [(name, entry.help) for name, entry in self._entries.items()]
        return [*_beginning(incomplete, commands), *click.Command.shell_complete(self, ctx, incomplete)]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        entry = self._entries.get(args[0])
        if entry is None:
            return None, None, args
        found: click.Command = importlib.import_module(entry.module).command
        if isinstance(found, TableGroup):
            found = _Table(found.entries, name=found.name, params=found.params, callback=found.callback)
        elif entry is COMMANDS["run"]:
            found = _RunCommand(name="run", params=found.params, context_settings=found.context_settings)
        _teach(found)
        return args[0], found, args[1:]


class _RunCommand(click.Command):
    """`volant run`, whose options are also those of the task."""

    def shell_complete(self, ctx: click.Context, incomplete: str) -> Items:
        own = _task_options(ctx, incomplete)
        taken = {item.value for item in own}
        return [*own, *(item for item in super().shell_complete(ctx, incomplete) if item.value not in taken)]


class _Named(click.ParamType[Any]):
    """A parameter whose words are found by a function. Nothing is converted: there is no command to perform."""

    name = "name"

    def __init__(self, words: Words) -> None:
        self._words = words

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> Items:
        return self._words(ctx, incomplete)


def _teach(command: click.Command) -> None:
    """Tell the parameters of a command, and of those below it, what their names mean."""
    _teach_params(command)
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            _teach(inner)


def _teach_params(command: click.Command) -> None:
    for param in command.params:
        table = _ARGUMENTS if isinstance(param, click.Argument) else _OPTIONS
        words = table.get(param.name or "")
        if words is not None:
            param.type = _Named(words)


def _runs(ctx: click.Context, incomplete: str) -> Items:
    return _glimpses(_peeked(ctx, lambda peek: peek.runs(incomplete, limit=_MOST)))


def _actions(ctx: click.Context, incomplete: str) -> Items:
    # Behind an option that lacks its value click has not told arguments apart yet.
    given = [*(ctx.params.get(name) for name in _RUN_NAMES), *ctx.args]
    run = next((each for each in given if isinstance(each, str)), None)
    if run is None:
        return []
    found = _peeked(ctx, lambda peek: peek.actions(run, incomplete, limit=_MOST))
    return _glimpses([glimpse._replace(name=glimpse.name[:12]) for glimpse in found])


def _root_tasks(ctx: click.Context, incomplete: str) -> Items:
    found = _peeked(ctx, lambda peek: peek.root_tasks(limit=_MOST))
    return _beginning(incomplete, [(name, "") for name in found])


def _settings(ctx: click.Context, incomplete: str) -> Items:
    try:
        queues = [(f"{QUEUES}{name}", "A queue.") for name in _read_settings(ctx).queues]
    except SettingsError:
        queues = []  # it is what the user is about to look into
    return _beginning(incomplete, [*((setting.name, setting.help) for setting in SETTINGS.values()), *queues])


def _queues(ctx: click.Context, incomplete: str) -> Items:
    return _beginning(incomplete, [(name, "") for name in _read_settings(ctx).queues])


def _modes(ctx: click.Context, incomplete: str) -> Items:
    return _beginning(incomplete, [(mode.value, "") for mode in Mode])


def _files(ctx: click.Context, incomplete: str) -> Items:
    return [CompletionItem(incomplete, type="file")]


def _folders(ctx: click.Context, incomplete: str) -> Items:
    return [CompletionItem(incomplete, type="dir")]


def _tasks_or_options(ctx: click.Context, incomplete: str) -> Items:
    """After `volant run FILE`: a task, then its options, and paths where one of them wants a path."""
    rest = _rest(ctx)
    if not rest:
        tasks = [(task.name, task.summary) for task in _outlined(ctx)]
        return _beginning(incomplete, tasks)
    task = _task_meant(ctx)
    if task is not None and rest[-1] in task.files:
        return _files(ctx, incomplete)
    if rest[-1].startswith("-") and "=" not in rest[-1] and not incomplete.startswith("-"):
        return []  # the value of an option of the task: its type is known only to who imports the file
    return _task_options(ctx, incomplete)


def _task_options(ctx: click.Context, incomplete: str) -> Items:
    task = _task_meant(ctx)
    if task is None:
        return []
    written = set(_rest(ctx))
    return _beginning(incomplete, [option for option in task.options if option[0] not in written])


def _task_meant(ctx: click.Context) -> Outline | None:
    rest = _rest(ctx)
    place = place_of_task(rest, ctx.command.params)
    return chosen(_outlined(ctx), None if place is None else rest[place])


def _rest(ctx: click.Context) -> tuple[str, ...]:
    return tuple(ctx.params.get("rest") or ())


def _outlined(ctx: click.Context) -> list[Outline]:
    file = ctx.params.get("file")
    return outline_tasks(Path(file).expanduser()) if isinstance(file, str) else []


def _read_settings(ctx: click.Context) -> Settings:
    home = ctx.find_root().params.get("home")
    return load_settings(flags={"home": os.path.expanduser(home) if home else None})


def _peeked(ctx: click.Context, ask: Callable[[Peek], list[Any]]) -> list[Any]:
    with peek_at(_read_settings(ctx), seconds=_PATIENCE) as peek:
        return ask(peek) if peek is not None else []


def _glimpses(found: list[Glimpse]) -> Items:
    return [CompletionItem(glimpse.name, help=f"{glimpse.task} {glimpse.phase}") for glimpse in found]


def _beginning(incomplete: str, words: list[tuple[str, str]]) -> Items:
    return [CompletionItem(word, help=text or None) for word, text in words if word.startswith(incomplete)]


_RUN_NAMES = ("run", "name", "run_name")

_ARGUMENTS: dict[str, Words] = {
    **dict.fromkeys((*_RUN_NAMES, "runs", "names"), _runs),
    "action": _actions,
    "actions": _actions,
    "setting": _settings,
    "file": _files,
    "folder": _folders,
    "rest": _tasks_or_options,
}
"""What arguments of a name mean, in every command."""

_OPTIONS: dict[str, Words] = {
    "action": _actions,
    "mode": _modes,
    "queue": _queues,
    "task": _root_tasks,
    "home": _folders,
}
"""What options of a name mean, in every command."""
