"""`volant.remote.Action`: an action of a run, with the ways to find some."""

from collections.abc import Collection

from volant.api.filters import check_limit, check_phases
from volant.api.program import program
from volant.client.actions import ActionHandle
from volant.client.driving import BothWays
from volant.client.listing import Listing, Pages
from volant.model.control_protocol import (
    ActionDetails,
    ActionSummary,
    GetAction,
    GetRun,
    ListSummaries,
    RunDetails,
    SummaryList,
)
from volant.model.phases import ActionPhase


async def _get(run_name: str, name: str) -> "Action":
    """The action of this id, or of the only id that begins so, or the only call of a task of this name.

    Raises:
        RunNotFoundError: there is no such run, or several.
        ActionNotFoundError: there is no such action, or several.
    """
    client = program.client()
    async with client.connection() as connection:
        details = await connection.ask(
            lambda number: GetAction(request=number, run=run_name, action=name), ActionDetails
        )
    return Action(client, details.action.run, ActionSummary.of(details.action, details.wait))


def _listall(
    for_run_name: str,
    *,
    in_phase: Collection[ActionPhase | str] | None = None,
    limit: int | None = None,
) -> "Pages[Action]":
    """The actions of a run in the order of their creation, all of them by default.

    `for action in Action.listall("amber-crane-kwzt")`, and `async for` with `Action.listall.aio`.

    Raises:
        DefinitionError: a phase that there is not, or another value that cannot be.
        RunNotFoundError: there is no such run, or several; raised with the first action.
    """
    phases = check_phases("Action.listall", in_phase)

    async def fetch(after: int, size: int) -> "tuple[list[Action], int | None]":
        client = program.client()
        async with client.connection() as connection:
            run = (await connection.ask(lambda number: GetRun(request=number, run=for_run_name), RunDetails)).run.run
            page = await connection.ask(
                lambda number: ListSummaries(request=number, run=run, phases=phases, after=after, limit=size),
                SummaryList,
            )
        found = [Action(client, run, each) for each in page.actions]
        return found, page.position if len(found) == size else None

    return Pages(fetch, first=0, limit=check_limit("Action.listall", limit))


class Action(ActionHandle):
    """One call of a task inside a run. What it says of itself is what was known when it was looked up.

    Every method blocks; its `.aio` twin is awaited.
    """

    get = BothWays(_get, "Action.get", _get.__doc__)
    listall = Listing(_listall, "Action.listall", _listall.__doc__)
