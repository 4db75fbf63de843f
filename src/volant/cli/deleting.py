"""`volant delete run NAME...`."""

import sys
from functools import partial

import click

from volant.api.program import program
from volant.api.runs import Run
from volant.cli.commands import Command, RunsGroup
from volant.cli.failing import EXIT_FAILED
from volant.cli.get.options import output_option
from volant.cli.showing import print_json
from volant.client.driving import drive
from volant.model.control_protocol import DeleteRun, Done
from volant.model.ids import RunId


@click.group("delete", cls=RunsGroup)
def command() -> None:
    """Forget runs. `volant delete NAME` is short for `volant delete run NAME`."""


@command.command("run", cls=Command)
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option("--yes", "-y", is_flag=True, help="Ask nothing. Nothing is asked where standard input is no terminal.")
@output_option
def delete_run(names: tuple[str, ...], yes: bool, output: str) -> int:
    """Forget runs that have ended: their record and what they wrote.

    Files that they stored stay: other runs may use them too. A run that has not ended is refused.
    """
    runs = list(dict.fromkeys(Run.get(name).name for name in names))
    if not yes and sys.stdin.isatty():
        what = f"run {runs[0]}" if len(runs) == 1 else f"{len(runs)} runs ({', '.join(runs)})"
        if not click.confirm(f"Forget {what} for good?", err=True):
            click.echo("nothing was deleted", err=True)
            return EXIT_FAILED
    for run in runs:
        drive(partial(_delete, run), name="volant delete run")
        click.echo(f"deleted run {run}", err=True)
    if output == "json":
        print_json([{"run": run, "action": None, "done": True} for run in runs])
    return 0


async def _delete(run: str) -> None:
    async with program.client().connection() as connection:
        await connection.ask(lambda number: DeleteRun(request=number, run=RunId(run)), Done)
