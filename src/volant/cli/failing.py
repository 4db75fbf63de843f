"""What went wrong, in words: `error:` and `hint:` on lines of their own, and the exit code."""

import sys
import traceback

import click

from volant.model.errors import ArgumentError, SettingsError, UnknownParameterError, VolantError

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


def say_error(message: str, hint: str | None = None) -> None:
    """One error on standard error."""
    click.echo(f"{click.style('error:', fg='red', bold=True)} {message}", err=True)
    if hint:
        click.echo(f"{click.style('hint:', fg='cyan', bold=True)} {hint}", err=True)


def report_error(error: Exception) -> int:
    """Say what went wrong and give the exit code."""
    if isinstance(error, click.UsageError):
        error.show(sys.stderr)
        return EXIT_USAGE
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, click.ClickException):
        say_error(error.format_message())
        return error.exit_code
    if isinstance(error, VolantError):
        say_error(str(error), error.hint)
        return EXIT_USAGE if isinstance(error, (ArgumentError, SettingsError, UnknownParameterError)) else EXIT_FAILED
    if isinstance(error, BrokenPipeError):
        return EXIT_FAILED
    traceback.print_exception(error)
    say_error(f"{type(error).__name__}: {error}", "this is a mistake in Volant itself")
    return EXIT_FAILED
