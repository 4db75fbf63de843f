"""`volant get io RUN [ACTION]`: values, read without the user's code."""

from typing import Any

import click

from volant.api.program import program
from volant.cli.commands import Command
from volant.cli.get.options import output_option
from volant.cli.newest import meant_run
from volant.cli.showing import print_json
from volant.cli.tables import phase_word, screen_width
from volant.client.driving import drive
from volant.client.results import fetch
from volant.model.control_protocol import ActionDetails, GetAction, GetRun, RunDetails
from volant.model.errors import BlobError, ValueCodecError
from volant.model.payloads import Payload
from volant.values.rendering import as_json, as_text
from volant.values.structural import Reference, read_arguments, read_value

_WIDEST = 100


@click.command("io", cls=Command)
@click.argument("run", required=False)
@click.argument("action", required=False)
@click.option("--full", is_flag=True, help="Cut nothing, however long it is.")
@output_option
def command(run: str | None, action: str | None, full: bool, output: str) -> None:
    """Show the inputs and outputs of a run, or of an action of it; without a RUN, of the newest one.

    The values are read without the code that made them, so it need not be there any more: instances of classes show
    their fields, and what only its own code can read shows its type and size.
    """
    details = drive(lambda: _look(run, action), name="volant get io")
    record = details.action
    inputs = _read(record.inputs, read_arguments)
    outputs = None if record.outputs is None else _read(record.outputs, read_value)
    if output == "json":
        shown: dict[str, Any] = {
            "run": record.run,
            "action": record.action,
            "task": record.task,
            "phase": record.phase.value,
            "inputs": as_json(inputs),
        }
        if record.outputs is not None:
            shown["outputs"] = as_json(outputs)
        print_json(shown)
        return
    click.echo(click.style("inputs", bold=True))
    _print(inputs if isinstance(inputs, dict) else {"": inputs}, full=full)  # pyright: ignore[reportUnknownArgumentType]
    click.echo(click.style("outputs", bold=True))
    if record.outputs is not None:
        _print({"": outputs}, full=full)
    elif record.failure is not None:
        click.echo(f"    none: it failed with {record.failure.code}")
    else:
        click.echo(f"    none: it is {phase_word(record.phase)}")


def _print(values: dict[str, Any], *, full: bool) -> None:
    width = min(screen_width() or _WIDEST, _WIDEST)
    if not values:
        click.echo("    none")
    for name, value in values.items():
        head = f"    {name} = " if name else "    "
        text = as_text(value, width=width - len(head), full=full)
        click.echo(head + text.replace("\n", "\n    "))


def _read(payload: Payload, read: Any) -> Any:
    """A value; a sentence about it where the bytes are not there or not readable."""
    try:
        return read(fetch(payload, program.client().blobs))
    except (BlobError, ValueCodecError) as error:
        return Reference(f"not readable: {error}")


async def _look(run: str | None, action: str | None) -> ActionDetails:
    async with program.client().connection() as connection:
        name = await meant_run(connection, run)
        wanted = action
        if wanted is None:
            details = await connection.ask(lambda number: GetRun(request=number, run=name), RunDetails)
            wanted = details.run.root
        return await connection.ask(lambda number: GetAction(request=number, run=name, action=wanted), ActionDetails)
