"""`volant rerun NAME`: a new run of the same task, all of it again or only what did not succeed."""

from typing import Any

import click

from volant.api.program import program
from volant.api.runs import Run
from volant.cli.commands import Command
from volant.cli.get.options import label_pairs, output_option
from volant.cli.pairs import name_value_pairs
from volant.cli.results import Form, show_end
from volant.cli.shapes import run_as_json
from volant.cli.showing import print_json
from volant.cli.which_code import code_option
from volant.client.driving import drive
from volant.client.rerunning import Before, Changes, Inputs, WhichCode, changed_inputs, read_before, submit_again
from volant.settings.loading import submission_environ


@click.command("rerun", cls=Command)
@click.argument("run", metavar="NAME")
@click.option("--recover", is_flag=True, help="Execute only what did not succeed; take over the other results.")
@click.option(
    "--from",
    "action",
    metavar="ACTION",
    help="Take over results, but not those of this action, of what is below it, and of what was called after it.",
)
@click.option(
    "--with", "inputs", multiple=True, metavar="K=V", help="Another value for an input of the task; repeatable."
)
@click.option("--env", "env", multiple=True, metavar="K=V", help="An environment variable of every task; repeatable.")
@click.option("--name", metavar="NAME", help="Name of the new run; made up by default.")
@click.option("--label", "labels", multiple=True, metavar="K=V", help="A label beside those it had; repeatable.")
@code_option
@click.option("--detach", is_flag=True, help="Print the new run's name as soon as it is accepted.")
@click.option("--quiet", "-q", is_flag=True, help="Show no progress.")
@output_option
def command(
    *,
    run: str,
    recover: bool,
    action: str | None,
    inputs: tuple[str, ...],
    env: tuple[str, ...],
    name: str | None,
    labels: tuple[str, ...],
    code: str,
    detach: bool,
    quiet: bool,
    output: str,
) -> int:
    """Run the task of a run again, with the same inputs, options and code, as a new run.

    Without --recover or --from nothing that was done before is used. The environment variables are those of this
    command. A run that was executed inline is executed in processes of its own.
    """
    program.reporters.is_quiet = quiet
    before = drive(lambda: _look(run), name="volant rerun")
    changes = Changes(
        name=name,
        labels=label_pairs(labels),
        env_vars=name_value_pairs("--env", env),
        code=WhichCode(code),
        recover=recover,
        from_action=action,
        inputs=_changed(before, inputs, WhichCode(code)) if inputs else None,
        environ=submission_environ(),
    )
    again = drive(lambda: _submit(before, changes), name="volant rerun")
    if detach:
        if output == "json":
            print_json(run_as_json(again.record))
        else:
            click.echo(again.name)
            click.echo(f"volant attach {again.name} watches it", err=True)
        return 0
    again.wait()
    return show_end(again, Form(output))


async def _look(name: str) -> Before:
    found = await Run.get.aio(name)
    async with program.client().connection() as connection:
        return await read_before(connection, found.record)


def _changed(before: Before, texts: tuple[str, ...], code: WhichCode) -> Inputs:
    # The user's code is imported for this, and by no other command that looks at runs.
    from volant.cli.reloading import load_recorded, read_values

    blobs = program.client().blobs
    task = load_recorded(before, code, blobs)
    return changed_inputs(before, task, read_values(task, texts), blobs)


async def _submit(before: Before, changes: Changes) -> Run[Any]:
    client = program.client()
    async with client.connection() as connection:
        record = await submit_again(connection, before, changes, blobs=client.blobs)
    return Run(client, record, env_vars=changes.env_vars)
