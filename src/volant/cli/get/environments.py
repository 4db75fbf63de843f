"""`volant get environments`: environments that runs have used, with their tasks."""

from typing import Any

import click

from volant.api.program import program
from volant.cli.commands import Command
from volant.cli.get.options import output_option
from volant.cli.shapes import EnvironmentShape, environments_as_json
from volant.cli.showing import print_json
from volant.cli.tables import Cell, dim, print_table, time_cell
from volant.cli.usages import Count
from volant.client.driving import drive
from volant.model.control_protocol import ListTasks, TaskList, TaskRecord

_MOST_TASKS = 4000


@click.command("environments", cls=Command)
@click.option("--limit", type=Count(1), default=50, show_default=True, help="So many, last used first.")
@output_option
def command(limit: int, output: str) -> None:
    """List the environments of tasks that runs of this home have used, the one that was used last first."""
    tasks = drive(_look, name="volant get environments")
    found = environments_as_json(list(tasks))[:limit]
    if output == "json":
        print_json(found)
    elif found:
        print_table(("ENVIRONMENT", "LAST USED", "TASKS"), [_row(each) for each in found], cuts=(2, 0))
    else:
        click.echo(f"no run of {program.settings().home} has used an environment", err=True)


async def _look() -> tuple[TaskRecord, ...]:
    async with program.client().connection() as connection:
        found = await connection.ask(lambda number: ListTasks(request=number, limit=_MOST_TASKS), TaskList)
    return found.tasks


def _row(environment: EnvironmentShape) -> tuple[Any, ...]:
    names = ", ".join(task["name"] for task in environment["tasks"])
    return Cell(environment["environment"], {"bold": True}), dim(time_cell(environment["used_at"])), names
