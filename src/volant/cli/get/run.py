"""`volant get run NAME`: how a run stands, as a tree."""

import contextlib
from collections.abc import Sequence
from functools import partial

import click
import msgspec

from volant.api.program import program
from volant.cli.commands import Command
from volant.cli.get.failures import why_field
from volant.cli.get.options import output_option
from volant.cli.newest import meant_run
from volant.cli.shapes import action_as_json, run_as_json
from volant.cli.showing import duration_of, local_time, print_json
from volant.cli.tables import Cell, phase_cell, print_fields
from volant.cli.tree_drawing import print_tree
from volant.client.connection import Connection
from volant.client.driving import drive
from volant.client.origins import origin_of
from volant.model.control_protocol import ActionSummary, GetRun, ListSummaries, RunDetails, SummaryList
from volant.model.failures import Failure, FailureKind
from volant.model.ids import RunId
from volant.model.phases import ActionPhase
from volant.model.records import RunRecord
from volant.model.submissions import decode_submission

_PAGE = 1000
_FIRST = 20_000
"""So many actions, the first ones, are read unless all are wanted."""
_NOTABLE = 500
"""So many more of each phase but success."""
_TRACEBACK = 40
"""Lines of a traceback that are shown; the last ones say most."""


@click.command("run", cls=Command)
@click.argument("name", required=False)
@click.option("--all", "everything", is_flag=True, help="Fold and cut nothing.")
@output_option
def command(name: str | None, everything: bool, output: str) -> None:
    """Show a run: how it stands, its actions as a tree, and why those that wait do.

    NAME may be shortened as far as it is unique; without one it is the newest run. Of many actions, equal ones are
    folded; what failed comes first.
    """
    details, actions, is_complete, origin = drive(lambda: _look(name, everything=everything), name="volant get run")
    if output == "json":
        shown = run_as_json(details.run)
        shown["live"] = details.live
        shown["elsewhere"] = details.elsewhere
        shown["counts"] = {phase: count for phase, count in details.counts.items() if count}
        shown["actions"] = [action_as_json(each) for each in actions]
        shown["complete"] = is_complete
        print_json(shown)
        return
    _print_head(details, origin)
    if actions:
        click.echo()
        print_tree(actions, full=everything)
    if not is_complete:
        total = sum(details.counts.values())
        click.echo(f"of {total:,} actions {len(actions):,} were read; --all reads all of them", err=True)
    if details.run.failure is not None:
        _print_failure(details.run.failure)


async def _look(
    name: str | None, *, everything: bool
) -> tuple[RunDetails, Sequence[ActionSummary], bool, ActionSummary | None]:
    async with program.client().connection() as connection:
        wanted = await meant_run(connection, name, told=False)
        details = await connection.ask(lambda number: GetRun(request=number, run=wanted), RunDetails)
        run, total = details.run.run, sum(details.counts.values())
        actions = await _read(connection, run, limit=None if everything else _FIRST)
        if len(actions) < total and not everything:
            known = {each.action for each in actions}
            for phase in ActionPhase:
                if phase is not ActionPhase.SUCCEEDED:
                    more = await _read(connection, run, limit=_NOTABLE, phases=(phase,))
                    actions += [each for each in more if each.action not in known]
        origin = await origin_of(connection, details.run)
    return details, actions, len(actions) >= total, origin


async def _read(
    connection: Connection, run: RunId, *, limit: int | None, phases: tuple[ActionPhase, ...] = ()
) -> list[ActionSummary]:
    found: list[ActionSummary] = []
    after = 0
    while limit is None or len(found) < limit:
        size = _PAGE if limit is None else min(_PAGE, limit - len(found))
        page = await connection.ask(partial(_page, run, phases, after, size), SummaryList)
        found += page.actions
        if len(page.actions) < size:
            break
        after = page.position
    return found


def _page(run: RunId, phases: tuple[ActionPhase, ...], after: int, size: int, number: int) -> ListSummaries:
    return ListSummaries(request=number, run=run, phases=phases, after=after, limit=size)


def _print_head(details: RunDetails, origin: ActionSummary | None) -> None:
    run = details.run
    left = not run.phase.is_final and not details.live and not details.elsewhere
    note = ", and nothing executes it now" if left else ", under another home" if details.elsewhere else ""
    fields: list[tuple[str, str | Cell]] = [
        ("run", Cell(run.run, {"bold": True})),
        ("task", run.task),
        ("phase", phase_cell(run.phase, note=note)),
        ("mode", run.mode),
        ("created", local_time(run.created_at)),
        ("duration", "" if left else duration_of(run.created_at, run.ended_at)),
        ("reuses", _reused(run)),
        ("labels", " ".join(f"{name}={value}" for name, value in run.labels.items())),
        ("actions", _counted(details.counts)),
    ]
    if run.failure is not None:
        first = run.failure if origin is None else origin
        fields.append(why_field(run.failure, task=first.task, attempts=first.attempts))
    print_fields(fields)


def _reused(run: RunRecord) -> str:
    """The run that it takes results from."""
    try:
        reuse = decode_submission(run.options)[0].reuse if run.options else None
    except msgspec.MsgspecError:
        # Written by a release whose options this one cannot read.
        return ""
    if reuse is None:
        return ""
    return reuse.run if reuse.from_action is None else f"{reuse.run}, but for what came from {reuse.from_action} on"


def _counted(counts: dict[str, int]) -> str:
    total = sum(counts.values())
    parts = [f"{counts[phase]:,} {phase.value.replace('_', ' ').lower()}" for phase in ActionPhase if counts.get(phase)]
    return f"{total:,}: {', '.join(parts)}" if total > 1 else ""


def _print_failure(failure: Failure) -> None:
    """The frames of the user's code."""
    lines = failure.traceback.rstrip().splitlines()
    if failure.kind is FailureKind.ABORTED or not lines:
        return
    click.echo()
    if len(lines) > _TRACEBACK:
        click.echo(click.style(f"... {len(lines) - _TRACEBACK:,} lines before these", dim=True))
    with contextlib.suppress(BrokenPipeError):
        click.echo("\n".join(lines[-_TRACEBACK:]))
