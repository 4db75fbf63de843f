"""`volant abort NAME`."""

import click

from volant.api.runs import Run
from volant.cli.commands import Command


@click.command("abort", cls=Command)
@click.argument("name")
@click.option("--reason", default="aborted by the user", metavar="TEXT", help="What the record will say.")
def command(name: str, reason: str) -> None:
    """Abort a run; done when that is committed and no process of it is left."""
    run = Run.get(name)
    if run.record.phase.is_final:
        click.echo(f"run {run.name} has ended already: {run.record.phase.value}", err=True)
        return
    run.abort(reason)
    click.echo(f"aborted run {run.name}", err=True)
