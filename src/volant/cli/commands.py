"""What all commands are made of: click's, with help in the colours of the rest and nothing imported for it.

Click reads the command line; it is told here how headings and options look. A library that draws boxes around them
would cost more time than all the commands together.
"""

import sys
from collections.abc import Iterable
from typing import Any

import click

from volant.settings.terminal import wants_colour

_WIDEST = 100


def heading(text: str) -> str:
    """As headings of the help look."""
    return click.style(text, fg="green", bold=True)


def literal(text: str) -> str:
    """As what is typed as it stands looks."""
    return click.style(text, fg="cyan", bold=True)


class _Formatter(click.HelpFormatter):
    """Click's, with colour; `click.echo` takes it off where it is not wanted."""

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        super().write_usage(prog, args, heading("Usage: ") if prefix is None else prefix)

    def write_heading(self, heading: str) -> None:
        self.write(f"{'':>{self.current_indent}}{click.style(f'{heading}:', fg='green', bold=True)}\n")

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        super().write_dl([(literal(term), text) for term, text in rows], col_max, col_spacing)


class _Context(click.Context):
    formatter_class = _Formatter

    def __init__(self, command: click.Command, **settings: Any) -> None:
        settings.setdefault("max_content_width", _WIDEST)
        # None lets click look whether its stream is a terminal, which is all that is left to look at.
        super().__init__(command, color=None if wants_colour(sys.stdout) else False, **settings)


class Command(click.Command):
    """A command."""

    context_class = _Context

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the command line; what is too much is said in our words."""
        takes_more, ctx.allow_extra_args = ctx.allow_extra_args, True
        rest = super().parse_args(ctx, args)
        ctx.allow_extra_args = takes_more
        if rest and not takes_more and not ctx.resilient_parsing:
            from volant.cli.usages import StrayWords

            raise StrayWords(rest, ctx)
        return rest


class Group(click.Group):
    """A command of commands."""

    context_class = _Context
    command_class = Command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that is meant; one that there is not is said in our words."""
        if not ctx.resilient_parsing and self.get_command(ctx, args[0]) is None:
            from volant.kit.nearest import did_you_mean

            if args[0].startswith("-"):
                raise click.NoSuchOption(args[0], ctx=ctx)
            ctx.fail(f"there is no command {args[0]!r}{did_you_mean(args[0], self.list_commands(ctx))}")
        return super().resolve_command(ctx, args)


class RunsGroup(Group):
    """A group with a command `run`, which is meant where a name stands that is none of a command."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or take what stands there for the name of a run."""
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            args = ["run", *args]
        return super().resolve_command(ctx, args)
