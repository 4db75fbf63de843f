"""What is wrong with a command line, in the words of all other errors instead of click's."""

from collections.abc import Sequence
from typing import Any

import click

from volant.kit.nearest import did_you_mean

_MOST = 5
_LONGEST = 80


class Count(click.ParamType[int]):
    """A whole number, `at_least` so much."""

    name = "number"

    def __init__(self, at_least: int) -> None:
        self.at_least = at_least

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number."""
        try:
            number = int(value)
        except (TypeError, ValueError):
            number = None
        if number is None or number < self.at_least:
            self.fail(f"found {value!r}, expected a whole number, {self.at_least} or more", param, ctx)
        return number


def usage_message(error: click.UsageError) -> str:
    """What is wrong: which word, what was found, what was wanted."""
    match error:
        case click.NoSuchOption() if _belongs_to_all(error):
            return f"{error.option_name} stands before the command, and was found after {_path(error)!r}"
        case click.NoSuchOption():
            return f"there is no option {error.option_name!r}{did_you_mean(error.option_name, _options(error.ctx))}"
        case click.MissingParameter() if error.param is not None:
            return f"{_name(error.param)} is missing"
        case click.BadParameter() if error.param is not None:
            found = error.message.removesuffix(".")
            return f"{_name(error.param)}: {found}"
        case click.BadOptionUsage() if "requires an argument" in error.message:
            return f"{error.option_name} is missing its value"
        case _:
            return error.format_message()


def usage_hint(error: click.UsageError) -> str | None:
    """What the user can do."""
    hint = getattr(error, "hint", None)
    if isinstance(hint, str):
        return hint
    context = error.ctx
    if context is None:
        # Click's parser does not say which command it stood in.
        return "put --help after the command to see what it takes"
    if not context.help_option_names:
        return None
    if isinstance(error, click.NoSuchOption) and _belongs_to_all(error):
        program, _, command = context.command_path.partition(" ")
        return f"{program} {error.option_name} ... {command}"
    if isinstance(error, click.NoSuchOption) and isinstance(context.command, click.Group):
        return f"options of a command come after it; {context.command_path} --help shows what there is"
    return f"{context.command_path} {context.help_option_names[-1]} shows what there is"


class StrayWords(click.UsageError):
    """Words that no parameter takes."""

    def __init__(self, words: Sequence[str], context: click.Context, *, hint: str | None = None) -> None:
        self.hint = hint
        shown = ", ".join(repr(word if len(word) <= _LONGEST else f"{word[:_LONGEST]}...") for word in words[:_MOST])
        if len(words) > _MOST:
            shown += f" and {len(words) - _MOST} more words"
        super().__init__(f"nothing takes {shown}", context)


def _name(param: click.Parameter) -> str:
    """As it is written: the long spelling of an option, the word that stands for an argument."""
    if isinstance(param, click.Option):
        return next((each for each in param.opts if each.startswith("--")), param.opts[0])
    return param.human_readable_name.split()[0].strip("[]").removesuffix("...")


def _belongs_to_all(error: click.NoSuchOption) -> bool:
    """Whether it is an option of the program that holds for all commands, and stands after one."""
    if error.ctx is None or (root := error.ctx.find_root()) is error.ctx:
        return False
    return any(error.option_name in param.opts for param in root.command.params if not param.is_eager)


def _path(error: click.UsageError) -> str:
    return error.ctx.command_path if error.ctx is not None else ""


def _options(context: click.Context | None) -> list[str]:
    if context is None:
        return []
    return [name for param in context.command.params for name in (*param.opts, *param.secondary_opts) if "-" in name]
