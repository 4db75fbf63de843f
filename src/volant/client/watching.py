"""Waiting for the end of a run, over the deaths of engines, and aborting it when the waiting is broken off."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple, TypeVar

from volant.client.client import Client
from volant.client.connection import Connection
from volant.client.reporting import Reporter
from volant.model.code import CodeSource
from volant.model.control_protocol import AbortRun, Done, GetRun, ResumeRun, RunAccepted, RunDetails
from volant.model.errors import EngineError, EngineGoneError, JournalError, VolantError
from volant.model.ids import RunId
from volant.model.records import ChangeKind, RunRecord
from volant.model.worker_protocol import Outcome
from volant.settings.loading import submission_environ

T = TypeVar("T")

_ENGINES = 3
"""So many engines may go away one after another without finishing anything of the run."""


class RunEnd(NamedTuple):
    """How a run ended."""

    run: RunRecord
    outcome: Outcome | None


async def watch_to_end(
    client: Client,
    connection: Connection,
    run: RunId,
    reporter: Reporter,
    *,
    asked: bool = False,
    goes_on: bool = True,
    env_vars: Mapping[str, str] | None = None,
    resumed: bool = False,
) -> RunEnd:
    """Follow *run* until it has ended. *connection* stays open, or is replaced by others that are closed again.

    When the engine dies, the next one is started and goes on with the run, unless *goes_on* is false. It is then given
    the *env_vars* of the run, which were in the memory of the other one. *resumed*: the engine may have died before
    this began, and another be at the end of *connection*.

    Raises:
        EngineGoneError: the engine went away and the next one does not execute the run, or engines die without
            finishing anything.
    """
    seen = 0
    lost = 0
    talk: Connection | None = connection
    own: Connection | None = None
    try:
        while True:
            try:
                if talk is None:
                    talk = own = await _next_engine(client, run, reporter, goes_on=goes_on, env_vars=env_vars)
                elif resumed and own is None:
                    await _let_go_on(talk, run, reporter, env_vars)
                if talk is None:
                    break
                async for events in talk.watch(run, after=seen, asked=asked and own is None):
                    if events.changes:
                        seen = events.changes[-1].seq
                        if any(change.kind is ChangeKind.ACTION_ENDED for change in events.changes):
                            lost = 0
                        reporter.changed(events.changes)
                    if events.ended is not None:
                        reporter.ended(events.ended, events.outcome)
                        return RunEnd(events.ended, events.outcome)
            except EngineGoneError as error:
                lost += 1
                if lost > _ENGINES:
                    msg = f"{lost} engines went away one after another without finishing anything of run {run!r}"
                    hint = f"'volant engine log' shows why; 'volant resume {run}' goes on with it"
                    raise EngineGoneError(msg, hint=hint) from error
            if own is not None:
                await own.close()
                own = None
            talk = None
    finally:
        if own is not None:
            await own.close()
    msg = f"the engine went away while this process executed run {run!r} inline"
    raise EngineGoneError(msg, hint=f"'volant resume {run}' goes on with it, in processes of its own")


async def abort_run(connection: Connection, run: RunId, *, reason: str) -> None:
    """Abort *run*, and wait until that is committed and its processes are gone."""
    await connection.ask(lambda number: AbortRun(request=number, run=run, reason=reason), Done)


async def abort_when_left(client: Client, connection: Connection, run: RunId, reporter: Reporter) -> None:
    """The caller was interrupted while it waited: abort the run before anything else goes on.

    A second interruption ends this at once; the engine goes on aborting.
    """
    try:
        aborting = asyncio.ensure_future(_abort_and_look(client, connection, run))
        # The request is on its way before anybody is told so, and may answer by interrupting again.
        await asyncio.sleep(0)
        reporter.notice(f"aborting run {run} (once more to leave at once)")
        ended = await aborting
    except (asyncio.CancelledError, KeyboardInterrupt):
        # The second one comes as it is where it meets our own code, such as right behind the notice.
        reporter.notice(f"left run {run} while it was being aborted; 'volant get run {run}' shows what became of it")
        raise
    except VolantError as error:
        reporter.notice(f"run {run} could not be aborted: {error}")
    else:
        reporter.ended(ended, None)


async def _abort_and_look(client: Client, connection: Connection, run: RunId) -> RunRecord:
    if connection.is_closed:
        async with client.connection() as fresh:
            return await _abort_and_look(client, fresh, run)
    await abort_run(connection, run, reason="aborted by the user")
    return (await connection.ask(lambda number: GetRun(request=number, run=run), RunDetails)).run


async def _next_engine(
    client: Client, run: RunId, reporter: Reporter, *, goes_on: bool, env_vars: Mapping[str, str] | None
) -> Connection | None:
    """The connection to go on with; None when the next engine does not execute the run and is not to."""
    reporter.notice("the engine went away; asking the next one")
    connection = await client.connect()
    try:
        if goes_on:
            await _let_go_on(connection, run, reporter, env_vars)
            return connection
        details = await connection.ask(lambda number: GetRun(request=number, run=run), RunDetails)
        if details.live or details.run.phase.is_final:
            return connection
    except BaseException:
        await connection.close()
        raise
    await connection.close()
    return None


async def _let_go_on(
    connection: Connection, run: RunId, reporter: Reporter, env_vars: Mapping[str, str] | None
) -> None:
    """See to it that the engine executes the run, unless it has ended."""

    async def details() -> RunDetails:
        return await connection.ask(lambda number: GetRun(request=number, run=run), RunDetails)

    found = await details()
    if found.live or found.run.phase.is_final:
        return
    try:
        await resume_run(connection, run, env_vars=env_vars)
    except EngineGoneError:
        raise
    except EngineError:
        # It may have ended since it was looked at.
        if not (await details()).run.phase.is_final:
            raise
        return
    reporter.notice(f"the next engine goes on with run {run}")


async def insist(ask: Callable[[], Awaitable[T]]) -> T:
    """What *ask* gives, which asks an engine and may be asked again: of the next one when that dies meanwhile.

    Raises:
        EngineGoneError: several have died one after another.
    """
    for _ in range(_ENGINES):
        with contextlib.suppress(EngineGoneError):
            return await ask()
    return await ask()


async def resume_run(
    connection: Connection, name: str, *, env_vars: Mapping[str, str] | None = None, code: CodeSource | None = None
) -> RunRecord:
    """Let the engine go on with a run that nobody executes, with the environment variables of this process.

    *env_vars* are those of the run itself; *code* is put in place of what it has had.

    Raises:
        RunNotFoundError: there is none of this name, or several.
        EngineError: it has ended.
        JournalError: the journal cannot be written; the run is as it was.
    """
    environ = submission_environ()
    try:
        accepted = await connection.ask(
            lambda number: ResumeRun(
                request=number, run=name, environ=environ, env_vars=dict(env_vars or {}), code=code
            ),
            RunAccepted,
        )
    except JournalError as error:
        error.hint = error.hint or f"'volant resume {name}' goes on with the run once the journal can be written"
        raise
    return accepted.run
