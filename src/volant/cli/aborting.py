"""`volant abort run NAME`, `volant abort action RUN ACTION`; `volant abort NAME` is short for the first."""

import click

from volant.api.actions import Action
from volant.api.runs import Run
from volant.cli.commands import Command, RunsGroup
from volant.cli.get.options import output_option
from volant.cli.showing import print_json
from volant.cli.tables import phase_word

_REASON = click.option("--reason", default="aborted by the user", metavar="TEXT", help="What the record will say.")


@click.group("abort", cls=RunsGroup)
def command() -> None:
    """Abort a run, or one action of it. `volant abort NAME` is short for `volant abort run NAME`."""


@command.command("run", cls=Command)
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@_REASON
@output_option
def abort_run(names: tuple[str, ...], reason: str, output: str) -> None:
    """Abort runs; done when that is committed and no process of them is left."""
    ended: list[dict[str, object]] = []
    for run in [Run.get(name) for name in names]:
        was_live = not run.record.phase.is_final
        if was_live:
            run.abort(reason)
            click.echo(f"aborted run {run.name}", err=True)
        else:
            click.echo(f"run {run.name} has ended already: {run.record.phase.value}", err=True)
        ended.append({"run": run.name, "action": None, "done": was_live})
    if output == "json":
        print_json(ended)


@command.command("action", cls=Command)
@click.argument("run")
@click.argument("action")
@_REASON
@output_option
def abort_action(run: str, action: str, reason: str, output: str) -> None:
    """Abort an action of a run and all below it; its caller sees that it was aborted, and may go on."""
    found = Action.get(run, action)
    what = f"action {found.name[:12]} ({found.task_name}) of run {found.run_name}"
    was_live = not found.done()
    if was_live:
        found.abort(reason)
        click.echo(f"aborted {what}", err=True)
    else:
        click.echo(f"{what} has ended already: {phase_word(found.phase)}", err=True)
    if output == "json":
        print_json([{"run": found.run_name, "action": found.name, "done": was_live}])
