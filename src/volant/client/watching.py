"""Waiting for the end of a run, over the deaths of engines, and aborting it when the waiting is broken off."""

import asyncio
from typing import NamedTuple

from volant.client.client import Client
from volant.client.connection import Connection
from volant.client.reporting import Reporter
from volant.model.control_protocol import AbortRun, Done, GetRun, RunDetails
from volant.model.errors import EngineGoneError, VolantError
from volant.model.ids import RunId
from volant.model.records import RunRecord
from volant.model.worker_protocol import Outcome

_ENGINES = 3
"""So many engines may go away one after another without a word about the run."""


class RunEnd(NamedTuple):
    """How a run ended."""

    run: RunRecord
    outcome: Outcome | None


async def watch_to_end(
    client: Client, connection: Connection, run: RunId, reporter: Reporter, *, asked: bool = False
) -> RunEnd:
    """Follow *run* until it has ended. *connection* stays open, or is replaced by others that are closed again.

    Raises:
        EngineGoneError: the engine went away and the next one does not execute the run.
    """
    seen = 0
    lost = 0
    own: Connection | None = None
    try:
        while True:
            try:
                async for events in (own or connection).watch(run, after=seen, asked=asked and own is None):
                    lost = 0
                    if events.changes:
                        seen = events.changes[-1].seq
                        reporter.changed(events.changes)
                    if events.ended is not None:
                        reporter.ended(events.ended, events.outcome)
                        return RunEnd(events.ended, events.outcome)
            except EngineGoneError:
                lost += 1
                if lost > _ENGINES:
                    raise
            if own is not None:
                await own.close()
            own = await _next_engine(client, run, reporter)
    finally:
        if own is not None:
            await own.close()


async def abort_run(connection: Connection, run: RunId, *, reason: str) -> None:
    """Abort *run*, and wait until that is committed and its processes are gone."""
    await connection.ask(lambda number: AbortRun(request=number, run=run, reason=reason), Done)


async def abort_when_left(client: Client, connection: Connection, run: RunId, reporter: Reporter) -> None:
    """The caller was interrupted while it waited: abort the run before anything else goes on.

    A second interruption ends this at once; the engine goes on aborting.
    """
    reporter.notice(f"aborting run {run} (once more to leave at once)")
    try:
        if connection.is_closed:
            async with client.connection() as fresh:
                ended = await _abort_and_look(fresh, run)
        else:
            ended = await _abort_and_look(connection, run)
    except asyncio.CancelledError:
        reporter.notice(f"left run {run} while it was being aborted; 'volant get run {run}' shows what became of it")
        raise
    except VolantError as error:
        reporter.notice(f"run {run} could not be aborted: {error}")
    else:
        reporter.ended(ended, None)


async def _abort_and_look(connection: Connection, run: RunId) -> RunRecord:
    await abort_run(connection, run, reason="aborted by the user")
    return (await connection.ask(lambda number: GetRun(request=number, run=run), RunDetails)).run


async def _next_engine(client: Client, run: RunId, reporter: Reporter) -> Connection:
    """The connection to go on with, if there is anything to go on with."""
    reporter.notice("the engine went away; asking the next one")
    connection = await client.connect()
    try:
        details = await connection.ask(lambda number: GetRun(request=number, run=run), RunDetails)
        if details.live or details.run.phase.is_final:
            return connection
    except BaseException:
        await connection.close()
        raise
    await connection.close()
    msg = f"the engine went away while run {run!r} was {details.run.phase}, and the next one does not execute it"
    raise EngineGoneError(msg, hint=f"'volant get run {run}' shows what was done before; 'volant engine log' shows why")
