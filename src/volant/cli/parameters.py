"""The options of a task on the command line, from its signature."""

from collections.abc import Mapping
from typing import Any

import click
from click.core import ParameterSource

from volant.authoring.task import Task
from volant.cli.values import BadText, label, parse
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


def options_of(task: Task[..., Any]) -> list[click.Parameter]:
    """One option per parameter of *task*."""
    types = task.interface.types
    return [_option(parameter, types[parameter.name]) for parameter in task.interface.parameters]


def spelt(name: str) -> str:
    """How options are spelt: `--dry-run`, and `--dry_run` is the same."""
    return name.replace("_", "-")


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


def _option(parameter: Parameter, annotation: Any) -> click.Parameter:
    name = spelt(parameter.name).strip("-") or parameter.name
    key = _key(parameter.name)
    help_text = "required" if parameter.is_required else f"default: {_shown(parameter.default)}"
    if annotation is bool:
        return click.Option([key, f"--{name}/--no-{name}"], required=parameter.is_required, help=help_text)
    kind = AnnotatedType(annotation)
    return click.Option([key, f"--{name}"], type=kind, required=parameter.is_required, help=help_text)


def _shown(default: object) -> str:
    text = "None" if default is EMPTY else repr(default)
    return text if len(text) <= 60 else f"{text[:57]}..."
