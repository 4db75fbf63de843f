"""`volant attach NAME`: watch a run again, from its beginning."""

import click

from volant.api.runs import Run
from volant.cli.commands import Command
from volant.cli.failing import EXIT_INTERRUPTED
from volant.cli.showing import print_json, print_result, run_as_json, show_failure
from volant.model.errors import NotSupportedError
from volant.model.phases import ActionPhase


@click.command("attach", cls=Command)
@click.argument("name")
@click.option("--output", "-o", type=click.Choice(["text", "json"]), default="text", help="Form of the result.")
def command(name: str, output: str) -> int:
    """Watch a run that is under way, and print its result. Ctrl-C leaves it alone: `volant abort NAME` ends it."""
    run = Run.get(name)
    try:
        run.watch()
    except KeyboardInterrupt:
        click.echo(f"left run {run.name}, which goes on; volant abort {run.name} ends it", err=True)
        return EXIT_INTERRUPTED
    if run.phase is not ActionPhase.SUCCEEDED:
        if output == "json":
            print_json(run_as_json(run.record))
        return show_failure(run)
    try:
        if output == "json":
            print_json(run_as_json(run.record, run.outputs().as_dict()))
            return 0
        print_result(run.result())
    except NotSupportedError as error:
        click.echo(f"the result is not shown: {error}", err=True)
    return 0
