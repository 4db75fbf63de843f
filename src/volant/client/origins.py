"""Where the failure of a run began: the root mostly raises what came to it from an action far below."""

from functools import partial

from volant.client.connection import Connection
from volant.model.control_protocol import ActionSummary, ListSummaries, SummaryList
from volant.model.ids import ActionId, RunId
from volant.model.phases import ActionPhase
from volant.model.records import RunRecord

_DEEPEST = 200
_SIBLINGS = 200
"""So many failed calls of one action are looked at, the first ones."""
_FAILED = (ActionPhase.FAILED, ActionPhase.TIMED_OUT)


async def origin_of(connection: Connection, run: RunRecord) -> ActionSummary | None:
    """The deepest action below the root that failed as the run did; None when that was the root itself."""
    failure = run.failure
    if failure is None:
        return None
    found: ActionSummary | None = None
    parent = run.root
    for _ in range(_DEEPEST):
        page = await connection.ask(partial(_failed_below, run.run, parent), SummaryList)
        alike = [
            each
            for each in page.actions
            if (each.code, each.message) == (failure.code, failure.first_line[: len(each.message)])
        ]
        if not alike:
            break
        # Of several that failed alike the caller was told of one; the first is as good a guess as there is.
        found = min(alike, key=lambda each: each.ended_at or run.created_at)
        parent = found.action
    return found


def _failed_below(run: RunId, parent: ActionId, number: int) -> ListSummaries:
    return ListSummaries(request=number, run=run, parent=parent, phases=_FAILED, limit=_SIBLINGS)
