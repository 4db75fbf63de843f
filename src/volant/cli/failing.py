"""What went wrong, in words: `error:` and `hint:` on lines of their own, and the exit code."""

import os
import sys
import traceback
from typing import TextIO

import click

from volant.model.errors import ArgumentError, SettingsError, UnknownParameterError, VolantError
from volant.settings.terminal import wants_colour

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


class WrongCommandLine(VolantError):
    """The command line names something that is not there, or asks for something that cannot be: exit code 2."""


def say(text: str, *, end: str = "\n") -> None:
    """Text on standard error, its colours only where they are wanted; nothing when nobody reads it any more."""
    try:
        click.echo(text, err=True, nl=False, color=wants_colour(sys.stderr))
        click.echo(end, err=True, nl=False)
    except (OSError, ValueError):
        return


def say_error(message: str, hint: str | None = None) -> None:
    """One error on standard error."""
    head = "error:"
    first, *more = _lines(f" {message}", head=len(head))
    say("\n".join([f"{click.style(head, fg='red', bold=True)}{first}", *more]))
    if hint:
        say_hint(hint)


def _lines(text: str, *, head: int) -> list[str]:
    """Broken between words where a terminal would break it anywhere."""
    try:
        width = os.get_terminal_size(sys.stderr.fileno()).columns
    except (OSError, ValueError, AttributeError):
        return [text]
    from volant.client.cells import folded

    return folded(text, width - 1, head=head)


def say_hint(hint: str) -> None:
    """What the user can do."""
    say(f"{click.style('hint:', fg='cyan', bold=True)} {hint}")


def report_error(error: Exception) -> int:
    """Say what went wrong and give the exit code."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        say(error.format_message())
        return EXIT_USAGE
    if isinstance(error, click.UsageError):
        from volant.cli.usages import usage_hint, usage_message

        say_error(usage_message(error), usage_hint(error))
        return EXIT_USAGE
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, click.ClickException):
        say_error(error.format_message())
        return error.exit_code
    if isinstance(error, VolantError):
        say_error(str(error), error.hint)
        is_usage = isinstance(error, (WrongCommandLine, ArgumentError, SettingsError, UnknownParameterError))
        return EXIT_USAGE if is_usage else EXIT_FAILED
    if isinstance(error, BrokenPipeError):
        return EXIT_FAILED
    if isinstance(error, OSError) and error.filename is None and not _can_be_written(sys.stdout):
        hint = "what was to be done is done, only its output is lost"
        say_error(f"the output cannot be written: {error.strerror}", hint)
        return EXIT_FAILED
    if isinstance(error, ImportError) and (hides := _hidden_by(error)):
        say_error(f"Volant itself cannot be imported: {error}", f"{hides} hides a module of Python's: rename it")
        return EXIT_FAILED
    traceback.print_exception(error)
    say_error(f"{type(error).__name__}: {error}", "this is a mistake in Volant itself")
    return EXIT_FAILED


def _can_be_written(stream: TextIO | None) -> bool:
    try:
        if stream is not None and not stream.closed:
            # Where nothing is held back, flushing alone does nothing.
            stream.write("\n")
            stream.flush()
    except OSError:
        return False
    return True


def _hidden_by(error: ImportError) -> str | None:
    """A file that is imported in the place of a module of Python's."""
    found = error.path
    if not found or found.startswith(os.path.dirname(os.__file__)):
        return None
    name = os.path.basename(found).partition(".")[0]
    return found if name in sys.stdlib_module_names else None
