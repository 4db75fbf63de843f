"""`volant rerun NAME`: a new run of the same task with the same inputs."""

from typing import Any

import click

from volant.api.program import program
from volant.api.runs import Run
from volant.cli.commands import Command
from volant.cli.get.options import label_pairs, output_option
from volant.cli.results import Form, show_end
from volant.cli.shapes import run_as_json
from volant.cli.showing import print_json
from volant.client.driving import drive
from volant.client.rerunning import Changes, WhichCode, rerun
from volant.settings.loading import submission_environ


@click.command("rerun", cls=Command)
@click.argument("run", metavar="NAME")
@click.option("--name", metavar="NAME", help="Name of the new run; made up by default.")
@click.option("--label", "labels", multiple=True, metavar="K=V", help="A label beside those it had; repeatable.")
@click.option(
    "--code",
    type=click.Choice([which.value for which in WhichCode]),
    default=WhichCode.ORIGINAL.value,
    show_default=True,
    help="The code as it was when the run was submitted, or as it is in the same files now.",
)
@click.option("--detach", is_flag=True, help="Print the new run's name as soon as it is accepted.")
@click.option("--quiet", "-q", is_flag=True, help="Show no progress.")
@output_option
def command(
    *, run: str, name: str | None, labels: tuple[str, ...], code: str, detach: bool, quiet: bool, output: str
) -> int:
    """Run the task of a run again, with the same inputs, options and code, as a new run.

    Nothing that was done before is used. The environment variables are those of this command. A run that was executed
    inline is executed in processes of its own.
    """
    program.reporters.is_quiet = quiet
    changes = Changes(name=name, labels=label_pairs(labels), code=WhichCode(code), environ=submission_environ())
    again = drive(lambda: _submit(run, changes), name="volant rerun")
    if detach:
        if output == "json":
            print_json(run_as_json(again.record))
        else:
            click.echo(again.name)
            click.echo(f"volant attach {again.name} watches it", err=True)
        return 0
    again.wait()
    return show_end(again, Form(output))


async def _submit(name: str, changes: Changes) -> Run[Any]:
    before = await Run.get.aio(name)
    client = program.client()
    async with client.connection() as connection:
        record = await rerun(connection, before.record, changes, blobs=client.blobs)
    return Run(client, record)
