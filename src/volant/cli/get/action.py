"""`volant get action RUN ACTION`: one action, its attempts and its settings."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import click
import msgspec

from volant.api.program import program
from volant.cli.commands import Command
from volant.cli.get.failures import why_field
from volant.cli.get.options import output_option
from volant.cli.settings_of_tasks import settings_as_json, settings_in_words
from volant.cli.shapes import action_as_json, attempt_as_json, error_as_json
from volant.cli.showing import action_duration, duration_of, first_line, local_time, print_json, short_path
from volant.cli.tables import Cell, phase_cell, print_fields, print_table, time_cell
from volant.client.driving import drive
from volant.client.lines import format_seconds
from volant.client.logs import log_file
from volant.client.waits import describe_wait
from volant.kit.quantities import format_bytes
from volant.model.control_protocol import ActionDetails, ActionSummary, GetAction
from volant.model.payloads import Inline, SavedCheckpoint
from volant.model.records import AttemptRecord
from volant.model.specs import ActionKind, ActionSpec

_KINDS = {ActionKind.TASK: "task", ActionKind.STEP: "traced function", ActionKind.TIMER: "timer"}


@click.command("action", cls=Command)
@click.argument("run")
@click.argument("action")
@output_option
def command(run: str, action: str, output: str) -> None:
    """Show an action of a run.

    ACTION is its id, shortened as far as it is unique, or the name of a task that the run called once.
    """
    details = drive(lambda: look(run, action), name="volant get action")
    spec = msgspec.msgpack.decode(details.spec_body, type=ActionSpec) if details.spec_body else None
    home = program.settings().home
    if output == "json":
        print_json(_as_json(details, spec, home))
        return
    _print(details, spec, home)


async def look(run: str, action: str) -> ActionDetails:
    """The action that is meant."""
    async with program.client().connection() as connection:
        return await connection.ask(lambda number: GetAction(request=number, run=run, action=action), ActionDetails)


def _as_json(details: ActionDetails, spec: ActionSpec | None, home: Path) -> dict[str, Any]:
    action = details.action
    return {
        "run": action.run,
        **action_as_json(ActionSummary.of(action, details.wait)),
        "history": [attempt_as_json(each, _log(home, each)) for each in details.attempts],
        "checkpoint": action.checkpoint is not None,
        "error": None if action.failure is None else error_as_json(action.failure),
        "settings": {} if spec is None else settings_as_json(spec),
    }


def _log(home: Path, attempt: AttemptRecord) -> str | None:
    return None if attempt.log is None else str(log_file(home, attempt.run, attempt.action, attempt.attempt))


def _print(details: ActionDetails, spec: ActionSpec | None, home: Path) -> None:
    action = details.action
    fields: list[tuple[str, str | Cell]] = [
        ("action", Cell(action.action, {"bold": True})),
        ("run", action.run),
        (_KINDS[action.kind], action.task),
        ("group", action.group or ""),
        ("parent", action.parent or ""),
        ("phase", phase_cell(action.phase)),
        ("reused from", action.reused_from or ""),
        ("waiting", Cell(describe_wait(details.wait) if details.wait is not None else "", {"fg": "yellow"})),
        ("created", local_time(action.created_at)),
        ("queued for", _queued(details)),
        ("duration", action_duration(action)),
        ("checkpoint", _saved(action.checkpoint)),
    ]
    if spec is not None:
        fields += settings_in_words(spec)
    if action.failure is not None:
        fields.append(why_field(action.failure))
    print_fields(fields)
    if details.attempts:
        click.echo()
        header = ("ATTEMPT", "PHASE", "STARTED", "DURATION", "CPU", "PEAK", "PROCESS", "EXIT", "ERROR")
        print_table(header, [_attempt_row(each) for each in details.attempts], cuts=(8,), drops=(6, 2, 4))
    _print_logs(details, home)
    if action.failure is not None and action.failure.traceback:
        click.echo()
        click.echo(action.failure.traceback.rstrip())


def _saved(checkpoint: SavedCheckpoint | None) -> str:
    if checkpoint is None:
        return ""
    data = checkpoint.data
    size = format_bytes(len(data.data) if isinstance(data, Inline) else data.size)
    return f"{size} in {checkpoint.file}" if checkpoint.file else size


def _queued(details: ActionDetails) -> str:
    """How long its attempts waited for their places, together."""
    waits = [each.started_at - each.queued_at for each in details.attempts if each.started_at is not None]
    return format_seconds(sum(waits, timedelta()).total_seconds()) if waits else ""


def _attempt_row(attempt: AttemptRecord) -> tuple[Any, ...]:
    failure = attempt.failure
    return (
        str(attempt.attempt + 1),
        phase_cell(attempt.phase),
        time_cell(attempt.started_at),
        duration_of(attempt.started_at, attempt.ended_at),
        "" if attempt.cpu_seconds is None else format_seconds(attempt.cpu_seconds),
        "" if attempt.peak_memory is None else format_bytes(attempt.peak_memory),
        "" if attempt.pid is None else str(attempt.pid),
        attempt.exit_status or "",
        "" if failure is None else f"{failure.code}: {first_line(failure.message)}".removesuffix(": "),
    )


def _print_logs(details: ActionDetails, home: Path) -> None:
    """The file of each attempt, and whether something is in it."""
    rows: list[tuple[str, str | Cell]] = []
    for attempt in details.attempts:
        path = _log(home, attempt)
        if path is not None:
            size = _size(Path(path))
            place = f"{size} in {short_path(Path(path))}" if size[0].isdigit() else size
            rows.append((f"log of {attempt.attempt + 1}", place))
    if rows:
        click.echo()
        print_fields(rows)


def _size(path: Path) -> str:
    try:
        size = path.stat().st_size
    except OSError:
        return "gone"
    return format_bytes(size) if size else "empty"
