"""What commands print: results on standard output, all else on standard error."""

import contextlib
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from volant.cli.failing import EXIT_FAILED, EXIT_INTERRUPTED, say, say_error, say_hint
from volant.cli.jsons import as_json
from volant.cli.tables import cut
from volant.client.lines import format_seconds
from volant.client.runs import RunHandle
from volant.model.control_protocol import ActionSummary
from volant.model.failures import FailureKind
from volant.model.phases import ActionPhase
from volant.model.records import ActionRecord
from volant.settings.tree import Mode

_WIDTH = 100
_LAST_LINES = 20
_LONGEST = 200
"""Characters of a message that stands in full above."""
_TAIL_BYTES = 16_384


def print_out(text: str) -> None:
    """Text on standard output, for as long as somebody reads it."""
    try:
        click.echo(text)
    except BrokenPipeError:
        return


def print_json(value: object) -> None:
    """A value as JSON; what JSON does not know is written as its text."""
    click.echo(as_json(value))


def show_failure(handle: RunHandle[Any]) -> int:
    """Why a run did not succeed: the user's frames, the error, where it happened, what to do; the exit code."""
    run = handle.record
    failure = run.failure
    if failure is None or failure.kind is FailureKind.ABORTED or run.phase is ActionPhase.ABORTED:
        reason = f": {failure.message}" if failure is not None and failure.message else ""
        say_error(f"run {run.run} was aborted{reason}", f"volant get run {run.run} shows what was done")
        return EXIT_FAILED
    origin = handle.origin()
    action, task, attempts = (
        (origin.action, origin.task, origin.attempts) if origin else (failure.action, failure.task, failure.attempts)
    )
    log = handle.log_path(action) if action else None
    if failure.traceback:
        say(f"\n{failure.traceback.rstrip()}\n")
    elif log is not None and (written := _last_lines(log)):
        # A process that just ended has no traceback, but often it said why.
        say("\n".join(["", f"the last lines of {task or run.task}:", *written, ""]))
    where = f" in task {task}" if task and task != run.task else ""
    # All of it stands in the traceback already, if there is one.
    message = cut(first_line(failure.message), _LONGEST) if failure.traceback else failure.message.strip()
    what = f"{failure.code}: {message}" if message else failure.code
    say_error(f"run {run.run} failed{where}: {what}")
    if action:
        tries = f", attempt {attempts} of {attempts}" if attempts > 1 else ""
        say(f"  action {action[:12]}{tries}")
    if log is not None and _says_something(log):
        say(f"  log    {short_path(log)}")
    hint = getattr(handle.error, "hint", None)
    if isinstance(hint, str) and hint:
        say_hint(hint)
    say_hint(f"volant get run {run.run} shows what was done")
    say_hint(f"volant logs {run.run} shows what was written")
    was_interrupted = run.mode == Mode.INLINE and failure.code == KeyboardInterrupt.__name__
    return EXIT_INTERRUPTED if was_interrupted else EXIT_FAILED


def short_path(path: Path) -> str:
    """A path as people write it: from their home on where it lies there."""
    with contextlib.suppress(ValueError, RuntimeError):
        return str("~" / path.relative_to(Path.home()))
    return str(path)


def _says_something(log: Path) -> bool:
    try:
        return log.stat().st_size > 0
    except OSError:
        return False


def _last_lines(log: Path) -> list[str]:
    try:
        with log.open("rb") as opened:
            end = opened.seek(0, os.SEEK_END)
            opened.seek(max(0, end - _TAIL_BYTES))
            return opened.read().decode(errors="replace").splitlines()[-_LAST_LINES:]
    except OSError:
        return []


def first_line(text: str) -> str:
    """The first line that says something."""
    return next((line for line in text.splitlines() if line.strip()), "")


def print_table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    """Columns as wide as they need to be."""
    widths = [max(len(line[column]) for line in (header, *rows)) for column in range(len(header))]
    for number, line in enumerate((header, *rows)):
        text = "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        click.echo(click.style(text, bold=True) if number == 0 else text)


def duration_of(started: datetime | None, ended: datetime | None) -> str:
    """How long something took, or has taken until now."""
    if started is None:
        return ""
    return format_seconds(((ended or datetime.now(UTC)) - started).total_seconds())


def action_duration(action: ActionSummary | ActionRecord) -> str:
    """How long the newest attempt of an action took, or has taken; nothing while the next one waits."""
    if not action.phase.is_final and action.phase is not ActionPhase.RUNNING:
        return ""
    return duration_of(action.started_at, action.ended_at)


def local_time(when: datetime) -> str:
    """An instant in the user's time zone."""
    return when.astimezone().strftime("%Y-%m-%d %H:%M:%S")
