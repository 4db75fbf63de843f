"""What commands print: results on standard output, all else on standard error."""

import pprint
from datetime import UTC, datetime
from typing import Any

import click
import msgspec

from volant.cli.failing import EXIT_FAILED, EXIT_INTERRUPTED, say_error
from volant.client.lines import format_seconds
from volant.client.runs import RunHandle
from volant.model.control_protocol import ActionSummary
from volant.model.failures import FailureKind
from volant.model.phases import ActionPhase
from volant.model.records import ActionRecord
from volant.settings.tree import Mode

_WIDTH = 100
_LAST_LINES = 20


def print_result(value: object) -> None:
    """What a task returned: text as it is, nothing for None, all else as Python writes it."""
    if value is None:
        return
    click.echo(value if isinstance(value, str) else pprint.pformat(value, width=_WIDTH, sort_dicts=False))


def print_json(value: object) -> None:
    """A value as JSON; what JSON does not know is written as its text."""
    click.echo(msgspec.json.format(msgspec.json.encode(value, enc_hook=_as_text), indent=2).decode())


def show_failure(handle: RunHandle[Any]) -> int:
    """Why a run did not succeed, with the traceback of the process that failed; the exit code."""
    run = handle.record
    failure = run.failure
    if failure is None or failure.kind is FailureKind.ABORTED or run.phase is ActionPhase.ABORTED:
        reason = f": {failure.message}" if failure is not None and failure.message else ""
        say_error(f"run {run.run} was aborted{reason}", f"volant get run {run.run}")
        return EXIT_FAILED
    if failure.traceback:
        click.echo(failure.traceback.rstrip("\n") + "\n", err=True)
    elif failure.action and (written := handle.logs(failure.action).splitlines()[-_LAST_LINES:]):
        # A process that just ended has no traceback, but often it said why.
        click.echo("\n".join([f"the last lines of {failure.task or run.task}:", *written, ""]), err=True)
    where = f" in task {failure.task}" if failure.task and failure.task != run.task else ""
    tries = f", after {failure.attempts} attempts" if failure.attempts > 1 else ""
    # All of it stands in the traceback already, if there is one.
    message = first_line(failure.message) if failure.traceback else failure.message.strip()
    what = f"{failure.code}: {message}" if message else failure.code
    say_error(f"run {run.run} failed{where}: {what}{tries}", f"volant get run {run.run} shows what was done")
    was_interrupted = run.mode == Mode.INLINE and failure.code == KeyboardInterrupt.__name__
    return EXIT_INTERRUPTED if was_interrupted else EXIT_FAILED


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


def _as_text(value: Any) -> Any:
    dump = getattr(value, "model_dump", None)
    return dump(mode="json") if callable(dump) else str(value)
