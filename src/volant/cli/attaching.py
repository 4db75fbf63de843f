"""`volant attach NAME`: watch a run again, from its beginning."""

import click

from volant.api.runs import Run
from volant.cli.commands import Command
from volant.cli.failing import EXIT_INTERRUPTED
from volant.cli.get.options import output_option
from volant.cli.results import Form, show_end


@click.command("attach", cls=Command)
@click.argument("name")
@output_option
def command(name: str, output: str) -> int:
    """Watch a run that is under way, and print its result. Ctrl-C leaves it alone: `volant abort NAME` ends it."""
    run = Run.get(name)
    try:
        run.watch()
    except KeyboardInterrupt:
        click.echo(f"left run {run.name}, which goes on; volant abort {run.name} ends it", err=True)
        return EXIT_INTERRUPTED
    return show_end(run, Form(output))
