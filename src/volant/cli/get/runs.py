"""`volant get runs`."""

from datetime import datetime
from typing import Any

import click

from volant.api.program import program
from volant.api.runs import Run
from volant.cli.commands import Command
from volant.cli.get.options import label_pairs, output_option, phase_option, since_option
from volant.cli.shapes import run_as_json
from volant.cli.showing import duration_of, first_line, print_json
from volant.cli.tables import Cell, dim, phase_cell, print_table, time_cell
from volant.cli.usages import Count
from volant.model.failures import FailureKind
from volant.model.records import RunRecord


@click.command("runs", cls=Command)
@phase_option
@click.option("--task", metavar="NAME", help="Only runs of this task, by its full name.")
@click.option("--label", "labels", multiple=True, metavar="K=V", help="Only runs with this label; repeatable.")
@since_option
@click.option("--limit", type=Count(1), default=20, show_default=True, help="So many, newest first.")
@output_option
def command(
    *,
    phases: tuple[str, ...],
    task: str | None,
    labels: tuple[str, ...],
    since: datetime | None,
    limit: int,
    output: str,
) -> None:
    """List the runs of the home, newest first."""
    found = Run.listall(phases, task, labels=label_pairs(labels), since=since, limit=limit)
    runs = [run.record for run in found]
    if output == "json":
        print_json([run_as_json(run) for run in runs])
        return
    if not runs:
        which = "no runs" if not (phases or task or labels or since) else "no such runs"
        click.echo(f"{which} in {program.settings().home}", err=True)
        return
    header = ("NAME", "TASK", "PHASE", "CREATED", "DURATION", "LABELS", "ERROR")
    print_table(header, [_row(run) for run in runs], cuts=(6, 5, 1), drops=(5, 4, 6, 3))
    if len(runs) == limit:
        click.echo(f"the newest {limit:,} are shown; --limit shows more", err=True)


def _row(run: RunRecord) -> tuple[Any, ...]:
    return (
        Cell(run.run, {"bold": True}),
        run.task,
        phase_cell(run.phase),
        time_cell(run.created_at),
        duration_of(run.created_at, run.ended_at),
        dim(" ".join(f"{name}={value}" for name, value in run.labels.items())),
        _error(run),
    )


def _error(run: RunRecord) -> str:
    failure = run.failure
    if failure is None:
        return ""
    message = first_line(failure.message)
    if failure.kind is FailureKind.ABORTED:
        return message
    return f"{failure.code}: {message}" if message else failure.code
