"""`volant get runs`, `volant get run NAME`."""

from typing import Any

import click

from volant.api.program import program
from volant.api.runs import Run
from volant.cli.commands import Command, Group
from volant.cli.showing import duration_of, first_line, local_time, print_json, print_table, run_as_json
from volant.client.driving import drive
from volant.model.control_protocol import ActionList, ListActions, ListRuns, RunDetails, RunList
from volant.model.phases import ActionPhase
from volant.model.records import ActionRecord, RunRecord

_FORM = click.Choice(["text", "json"])
_MOST_ACTIONS = 50


@click.group("get", cls=Group)
def command() -> None:
    """List runs, or show one."""


@command.command("runs", cls=Command)
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="So many, newest first.")
@click.option("--phase", multiple=True, type=click.Choice([phase.value for phase in ActionPhase], case_sensitive=False))
@click.option("--task", metavar="NAME", help="Full name of the root task.")
@click.option("--output", "-o", type=_FORM, default="text")
def get_runs(limit: int, phase: tuple[str, ...], task: str | None, output: str) -> None:
    """List the runs of the home, newest first."""
    phases = tuple(ActionPhase(name) for name in phase)
    runs = drive(lambda: _list_runs(phases, task, limit), name="volant get runs")
    if output == "json":
        print_json([run_as_json(run) for run in runs])
    elif runs:
        print_table(("NAME", "TASK", "PHASE", "CREATED", "DURATION"), [_run_row(run) for run in runs])
    else:
        click.echo(f"no runs in {program.settings().home}", err=True)


@command.command("run", cls=Command)
@click.argument("name")
@click.option("--output", "-o", type=_FORM, default="text")
def get_run(name: str, output: str) -> None:
    """Show one run: how it stands, and its actions."""
    run = Run.get(name)
    details = run.details()
    actions, is_all = drive(lambda: _list_actions(details.run), name="volant get run")
    if output == "json":
        counted = {phase: count for phase, count in details.counts.items() if count}
        print_json({**run_as_json(details.run), "live": details.live, "counts": counted})
        return
    _print_run(details)
    if actions:
        click.echo()
        print_table(("ACTION", "TASK", "PHASE", "ATTEMPTS", "DURATION", ""), [_action_row(each) for each in actions])
    if not is_all:
        click.echo(f"... the first {len(actions)} are shown", err=True)


async def _list_runs(phases: tuple[ActionPhase, ...], task: str | None, limit: int) -> tuple[RunRecord, ...]:
    async with program.client().connection() as connection:
        found = await connection.ask(
            lambda number: ListRuns(request=number, phases=phases, task=task, limit=limit), RunList
        )
    return found.runs


async def _list_actions(run: RunRecord) -> tuple[tuple[ActionRecord, ...], bool]:
    async with program.client().connection() as connection:
        page = await connection.ask(
            lambda number: ListActions(request=number, run=run.run, limit=_MOST_ACTIONS + 1), ActionList
        )
    return page.actions[:_MOST_ACTIONS], len(page.actions) <= _MOST_ACTIONS


def _print_run(details: RunDetails) -> None:
    run = details.run
    lines: list[tuple[str, Any]] = [
        ("run", run.run),
        ("task", run.task),
        ("phase", run.phase.value if run.phase.is_final or details.live else f"{run.phase.value}, not being executed"),
        ("mode", run.mode),
        ("created", local_time(run.created_at)),
        ("duration", duration_of(run.created_at, run.ended_at)),
        ("labels", ", ".join(f"{name}={value}" for name, value in run.labels.items())),
        ("actions", ", ".join(f"{count:,} {phase}" for phase, count in details.counts.items() if count)),
    ]
    if run.failure is not None:
        lines.append(("error", f"{run.failure.code}: {first_line(run.failure.message)}"))
    for name, value in lines:
        if value:
            click.echo(f"{name:<9} {value}")


def _run_row(run: RunRecord) -> tuple[str, ...]:
    duration = duration_of(run.created_at, run.ended_at)
    return run.run, run.task, run.phase.value, local_time(run.created_at), duration


def _action_row(action: ActionRecord) -> tuple[str, ...]:
    note = first_line(action.failure.message) if action.failure is not None else ""
    return (
        action.action[:12],
        action.short_name,
        action.phase.value,
        str(action.attempts),
        duration_of(action.started_at, action.ended_at),
        note[:60],
    )
