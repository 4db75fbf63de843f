"""All that the journal has of a run that has ended, read through the engine."""

import asyncio
from functools import partial

import msgspec

from volant.client.client import Client
from volant.client.connection import Connection
from volant.model.control_protocol import ActionDetails, ActionList, GetAction, ListActions
from volant.model.ids import ActionId, RunId
from volant.model.records import ActionRecord, AttemptRecord, Change, RunRecord

_PAGE = 1000
_AT_ONCE = 50
"""Questions about actions that are under way together."""


class ExaminedAction(msgspec.Struct, frozen=True, kw_only=True):
    """One action with its attempts, oldest first, and what the feed says about it."""

    details: ActionDetails
    attempts: tuple[AttemptRecord, ...]
    changes: tuple[Change, ...]

    @property
    def record(self) -> ActionRecord:
        return self.details.action


class Examined(msgspec.Struct, frozen=True, kw_only=True):
    """A run's actions in the order of their creation, and its whole change feed."""

    actions: tuple[ExaminedAction, ...]
    changes: tuple[Change, ...]


async def examine(client: Client, run: RunRecord) -> Examined:
    """Read everything about *run*, which has ended.

    Raises:
        EngineError: the engine cannot be reached.
    """
    async with client.connection() as connection:
        changes: list[Change] = []
        async for events in connection.watch(run.run):
            changes += events.changes
        by_action: dict[ActionId, list[Change]] = {}
        for change in changes:
            if change.action is not None:
                by_action.setdefault(change.action, []).append(change)
        found: list[ExaminedAction] = []
        records = await _list(connection, run.run)
        for start in range(0, len(records), _AT_ONCE):
            asked = [_ask(connection, record) for record in records[start : start + _AT_ONCE]]
            for details in await asyncio.gather(*asked):
                attempts = tuple(sorted(details.attempts, key=lambda each: each.attempt))
                of_it = tuple(by_action.get(details.action.action, ()))
                found.append(ExaminedAction(details=details, attempts=attempts, changes=of_it))
        return Examined(actions=tuple(found), changes=tuple(changes))


async def _list(connection: Connection, run: RunId) -> list[ActionRecord]:
    found: list[ActionRecord] = []
    after = 0
    while True:
        page = await connection.ask(partial(_list_actions, run, after), ActionList)
        found += page.actions
        if page.position == after:
            return found
        after = page.position


def _list_actions(run: RunId, after: int, number: int) -> ListActions:
    return ListActions(request=number, run=run, after=after, limit=_PAGE)


async def _ask(connection: Connection, record: ActionRecord) -> ActionDetails:
    return await connection.ask(
        lambda number: GetAction(request=number, run=record.run, action=record.action), ActionDetails
    )
