"""`volant resume NAME`: go on with a run whose engine died."""

import click

from volant.api.program import program
from volant.api.resuming import interrupted_runs, resume
from volant.cli.commands import Command
from volant.cli.failing import EXIT_FAILED, say_error
from volant.cli.get.options import output_option
from volant.cli.results import Form, show_end
from volant.client.driving import drive
from volant.model.errors import VolantError


@click.command("resume", cls=Command)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--all", "everything", is_flag=True, help="Every run of the home that was interrupted.")
@click.option("--detach", is_flag=True, help="Return as soon as the run goes on.")
@output_option
def command(names: tuple[str, ...], everything: bool, detach: bool, output: str) -> int:
    """Go on with runs whose engine died.

    What was told is not executed again. One NAME is watched until it has ended, and its result printed; several, or
    --all, are left to the engine.
    """
    if everything == bool(names):
        msg = "give the names of runs, or --all"
        raise click.UsageError(msg)
    if len(names) == 1 and not detach:
        return _to_end(names[0], output)
    if everything:
        names = tuple(run.run for run in drive(lambda: interrupted_runs(program), name="volant resume"))
        if not names:
            click.echo(f"no run of {program.settings().home} was interrupted", err=True)
    return max([_detached(name) for name in names], default=0)


def _detached(name: str) -> int:
    try:
        run = resume(name, wait=False)
    except VolantError as error:
        say_error(str(error), error.hint)
        return EXIT_FAILED
    click.echo(run.name)
    click.echo(f"run {run.name} goes on; volant attach {run.name} watches it", err=True)
    return 0


def _to_end(name: str, output: str) -> int:
    run = resume(name, wait=False)
    run.wait()
    return show_end(run, Form(output))
