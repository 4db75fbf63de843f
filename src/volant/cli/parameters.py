"""The options of a task on the command line, from its signature."""

import enum
from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from functools import partial
from pathlib import PurePath
from typing import Any

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from volant.authoring.task import Task
from volant.cli.values import BadText, choices, element_of, is_flag, label, parse, parse_all
from volant.values.interfaces import EMPTY, Parameter


class AnnotatedType(click.ParamType[Any]):
    """Converts text to values of an annotated type."""

    def __init__(self, annotation: Any) -> None:
        self.annotation = annotation
        self.name = label(annotation)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return parse(value, self.annotation)
        except BadText as error:
            self.fail(str(error), param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        found = choices(self.annotation)
        return [CompletionItem(choice) for choice in found if choice.casefold().startswith(incomplete.casefold())]


def options_of(task: Task[..., Any], texts: Mapping[str, str] | None = None) -> list[click.Parameter]:
    """One option per parameter of *task*; *texts* are what its documentation says about them."""
    types = task.interface.types
    names = {_spelling(parameter) for parameter in task.interface.parameters}
    return [
        _option(parameter, types[parameter.name], (texts or {}).get(parameter.name, ""), names)
        for parameter in task.interface.parameters
    ]


def spelt(name: str) -> str:
    """How options are spelt: `--dry-run`, and `--dry_run` is the same; `--class`, and `--class_` is the same."""
    return name.replace("_", "-").strip("-") or name


def given_arguments(
    task: Task[..., Any], context: click.Context, values: Mapping[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What to call the task with: only what was written, so that defaults are the function's own."""
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for parameter in task.interface.parameters:
        key = _key(parameter.name)
        if context.get_parameter_source(key) is not ParameterSource.COMMANDLINE:
            continue
        if parameter.kind is parameter.kind.POSITIONAL_ONLY:
            args.append(values[key])
        else:
            kwargs[parameter.name] = values[key]
    return tuple(args), kwargs


def _key(parameter: str) -> str:
    """The name inside click; a task's parameter may be called like one of our own options."""
    return f"task_{parameter}"


def _spelling(parameter: Parameter) -> str:
    return spelt(parameter.name)


def _option(parameter: Parameter, annotation: Any, text: str, names: set[str]) -> click.Parameter:
    name = _spelling(parameter)
    key = _key(parameter.name)
    element = element_of(annotation)
    required = parameter.is_required
    facts = [fact for fact in ("repeat it, or a JSON list" if element is not None else "", _default(parameter)) if fact]
    help_text = "  ".join([*([text] if text else []), *([f"[{'; '.join(facts)}]"] if facts else [])])
    if is_flag(annotation):
        # Another parameter may be called `no_...`, and comes first.
        off = f"no-{name}"
        spelling = f"--{name}/--{off}" if off not in names else f"--{name}"
        return click.Option([key, spelling], required=required, help=help_text, default=None, is_flag=True)
    if element is not None:
        return click.Option(
            [key, f"--{name}"],
            type=_Elements(annotation),
            required=required,
            help=help_text,
            multiple=True,
            callback=partial(_gathered, annotation),
            metavar=_metavar(annotation),
        )
    kind = AnnotatedType(annotation)
    metavar = _metavar(annotation)
    return click.Option([key, f"--{name}"], type=kind, required=required, help=help_text, metavar=metavar)


class _Elements(AnnotatedType):
    """Text of a collection, which is read when all of it is there."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return value

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return AnnotatedType(element_of(self.annotation)).shell_complete(ctx, param, incomplete)


def _gathered(annotation: Any, ctx: click.Context, param: click.Parameter, texts: tuple[str, ...]) -> Any:
    if not texts:
        return None
    try:
        return parse_all(texts, annotation)
    except BadText as error:
        raise click.BadParameter(str(error), ctx, param) from None


def _default(parameter: Parameter) -> str:
    """What holds when nothing is written, as it would be written; empty where that goes without saying."""
    default = parameter.default
    if default is EMPTY or default is None:
        return ""
    if isinstance(default, enum.Enum):
        text = default.name
    elif isinstance(default, (str, PurePath, timedelta, date, Decimal)):
        text = str(default) or "''"
    else:
        text = repr(default)
    return f"default: {text if len(text) <= 60 else f'{text[:57]}...'}"


def _metavar(annotation: Any) -> str:
    """Choices as they are to be written, and everything else in capitals."""
    found = choices(annotation)
    return f"[{'|'.join(found)}]" if found else label(annotation).upper().replace(" OR ", " or ")
