"""The page about the command line, written from the commands themselves."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Sequence

import click

from volant.cli.table import volant

_OPTION = re.compile(r"(?<![\w`-])--?[a-z][\w-]*")


def page() -> str:
    """The commands as Markdown: usage, what each does, its arguments and options."""
    context = click.Context(volant, info_name="volant", resilient_parsing=True)
    return "\n".join(_command(volant, context, level=2)) + "\n"


def _command(command: click.Command, context: click.Context, *, level: int) -> Iterator[str]:
    yield f"{'#' * level} {context.command_path}"
    yield ""
    yield from _paragraphs(inspect.cleandoc(command.help or ""))
    yield "```text"
    yield " ".join([context.command_path, *command.collect_usage_pieces(context)])
    yield "```"
    yield ""
    options = [each for each in command.get_params(context) if isinstance(each, click.Option) and not each.hidden]
    # Every command has --help; it says nothing that this page does not.
    yield from _options([each for each in options if "--help" not in each.opts], context)
    if not isinstance(command, click.Group):
        return
    for name in command.list_commands(context):
        inner = command.get_command(context, name)
        if inner is not None and not inner.hidden:
            yield from _command(
                inner,
                click.Context(inner, info_name=name, parent=context, resilient_parsing=True),
                level=min(level + 1, 4),
            )


def _paragraphs(text: str) -> Iterator[str]:
    """Help without what click reads in it: a form feed ends it, a line of `\\b` keeps lines as they are."""
    for paragraph in text.partition("\f")[0].strip().split("\n\n"):
        lines = paragraph.splitlines()
        if lines and lines[0].strip() == "\b":
            yield from ("```text", *lines[1:], "```")
        else:
            yield from (_OPTION.sub(r"`\g<0>`", line) for line in lines)
        yield ""


def _options(options: Sequence[click.Option], context: click.Context) -> Iterator[str]:
    if not options:
        return
    yield "| option | |"
    yield "|---|---|"
    for option in options:
        yield f"| {_spelling(option, context)} | {_explanation(option)} |"
    yield ""


def _spelling(option: click.Option, context: click.Context) -> str:
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    if option.is_flag or option.count:
        return names
    return f"{names} `{option.make_metavar(context)}`".replace("|", "\\|")


def _explanation(option: click.Option) -> str:
    parts = [(option.help or "").strip()]
    if option.multiple and "repeatable" not in parts[0]:
        parts.append("Repeatable.")
    default = option.default
    if option.show_default and isinstance(default, (str, int, float)) and not option.is_flag:
        parts.append(f"Default: `{default}`.")
    return " ".join(part for part in parts if part).replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    click.echo(page())
