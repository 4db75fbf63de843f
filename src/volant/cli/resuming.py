"""`volant resume NAME`: go on with a run whose engine died."""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import click

from volant.api.program import program
from volant.api.resuming import interrupted_runs, resume
from volant.api.runs import Run
from volant.cli.commands import Command
from volant.cli.failing import EXIT_FAILED, say_error
from volant.cli.get.options import output_option
from volant.cli.pairs import name_value_pairs
from volant.cli.results import Form, show_end
from volant.cli.which_code import code_option
from volant.client.driving import drive
from volant.client.rerunning import WhichCode
from volant.model.errors import VolantError


@click.command("resume", cls=Command)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--all", "everything", is_flag=True, help="Every run of the home that was interrupted.")
@click.option(
    "--env", "env", multiple=True, metavar="K=V", help="A variable that the run was submitted with; repeatable."
)
@code_option
@click.option("--detach", is_flag=True, help="Return as soon as the run goes on.")
@output_option
def command(
    *, names: tuple[str, ...], everything: bool, env: tuple[str, ...], code: str, detach: bool, output: str
) -> int:
    """Go on with runs whose engine died.

    What was told is not executed again. One NAME is watched until it has ended, and its result printed; several, or
    --all, are left to the engine. The environment variables are those of this command; of variables that a run was
    submitted with by --env only the names were kept, so give them again.
    """
    if everything == bool(names):
        msg = "give the names of runs, or --all"
        raise click.UsageError(msg)
    which: Literal["original", "current"] = "current" if code == WhichCode.CURRENT else "original"
    go_on = partial(resume, env_vars=name_value_pairs("--env", env), code=which, wait=False)
    if len(names) == 1 and not detach:
        run = go_on(names[0])
        run.wait()
        return show_end(run, Form(output))
    if everything:
        names = tuple(run.run for run in drive(lambda: interrupted_runs(program), name="volant resume"))
        if not names:
            click.echo(f"no run of {program.settings().home} was interrupted", err=True)
    return max([_detached(go_on, name) for name in names], default=0)


def _detached(go_on: Callable[[str], Run[Any]], name: str) -> int:
    try:
        run = go_on(name)
    except VolantError as error:
        say_error(str(error), error.hint)
        return EXIT_FAILED
    click.echo(run.name)
    click.echo(f"run {run.name} goes on; volant attach {run.name} watches it", err=True)
    return 0
