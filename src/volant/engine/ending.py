"""What ends runs at somebody's wish: aborting them, deleting them, stopping the engine."""

import asyncio
import logging
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

from volant.engine.engine import Engine
from volant.engine.interrupted import abort_interrupted
from volant.engine.lookups import Lookups
from volant.engine.owning import own
from volant.kit.clock import Clock
from volant.kit.homes import logs_path
from volant.model.control_protocol import AbortRun, DeleteRun
from volant.model.errors import ActionNotFoundError, CallError, EngineError
from volant.model.ids import ActionId, RunId
from volant.ports.journal import Journal
from volant.ports.leases import Leases

log = logging.getLogger("volant.engine")

_ABORTING = 5.0
"""Seconds beyond the grace period that aborted runs have to end when the engine was told to stop."""
_LAST_WORDS = 0.02
"""Seconds between the answer to a request to stop and the end."""


class Endings:
    """Ends runs, live ones and those that nobody executes."""

    def __init__(
        self,
        *,
        engine: Engine,
        journal: Journal,
        leases: Leases,
        lookups: Lookups,
        clock: Clock,
        settling: asyncio.Lock,
        home: str,
        dismiss: Callable[[RunId], Awaitable[None]],
    ) -> None:
        """*settling* is held by whoever goes on with, ends or deletes a run that nobody executes; *dismiss* ends what
        of such a run is still alive."""
        self._engine = engine
        self._journal = journal
        self._leases = leases
        self._lookups = lookups
        self._clock = clock
        self._home = Path(home)
        self._dismiss = dismiss
        self._settling = settling

    async def abort(self, message: AbortRun) -> None:
        """Abort a run or one action of it; returns when that is committed and its processes are gone.

        Raises:
            RunNotFoundError: there is no such run, or several.
            ActionNotFoundError: there is no such action, or several, or nobody executes it.
        """
        engine = self._engine
        record = await self._lookups.named(message.run)
        action = None
        if message.action is not None:
            action = await self._unfinished(record.run, message.action)
            if action is None:
                return
        if record.run not in engine.runs:
            await self.end_interrupted(record.run, message.reason)
            return
        engine.abort(record.run, action, message.reason)
        await engine.until_ended(record.run, action)

    async def end_interrupted(self, run: RunId, reason: str) -> None:
        """Abort a run that this engine does not execute, if it has not ended."""
        async with self._settling:
            record = await self._lookups.run(run)
            if not record.phase.is_final and run not in self._engine.runs:
                record = await own(self._leases, record)
                await self._dismiss(run)
                await abort_interrupted(self._journal, record, reason, self._clock.now())

    async def delete(self, message: DeleteRun) -> None:
        """Forget a run that has ended, with the output of its attempts.

        Raises:
            CallError: it has not ended; nothing was changed.
        """
        async with self._settling:
            record = await self._lookups.named(message.run)
            if not record.phase.is_final or record.run in self._engine.runs:
                msg = f"run '{record.run}' has not ended ({record.phase}) and was not deleted"
                raise CallError(msg, hint=f"end it first: volant abort run {record.run}")
            await self._journal.delete_run(record.run)
            await asyncio.to_thread(shutil.rmtree, logs_path(self._home) / record.run, ignore_errors=True)

    async def stop(self, *, abort_runs: bool, leave: Callable[[], None]) -> None:
        """Let all runs end, and then *leave*, a moment later.

        Raises:
            EngineError: runs are live and are not to be aborted; nothing was changed.
        """
        engine = self._engine
        if not engine.is_idle and not abort_runs:
            names = ", ".join(sorted(engine.runs))
            msg = f"the engine executes {len(engine.runs)} run(s): {names}"
            raise EngineError(msg, hint="abort them first, or stop it with --abort-runs")
        engine.accept_no_more()
        grace = max((live.options.grace_period for live in engine.runs.values()), default=0.0)
        for run in list(engine.runs):
            engine.abort(run, None, "the engine was told to stop")
        try:
            async with asyncio.timeout(grace + _ABORTING):
                await asyncio.gather(*(engine.until_ended(run) for run in list(engine.runs)))
        except TimeoutError:
            # Inline, what blocks the client's own thread cannot be ended from here.
            log.warning("the engine leaves without the end of %s", ", ".join(sorted(engine.runs)))
        finally:
            # Whoever asked may not wait for the answer; an engine that takes no more runs must not stay.
            asyncio.get_running_loop().call_later(_LAST_WORDS, leave)

    async def _unfinished(self, run: RunId, name: str) -> ActionId | None:
        """The action that is to be aborted; None when it has ended."""
        live = self._engine.runs.get(run)
        if live is not None and name in live.machine.actions:
            return ActionId(name)
        found = await self._lookups.action_named(run, name)
        if live is not None and found.action in live.machine.actions:
            return found.action
        if live is None and not found.phase.is_final:
            msg = f"action '{name}' of run '{run}' was {found.phase} when the engine that executed it ended"
            hint = f"`volant resume {run}` goes on with the run, `volant abort {run}` ends it"
            raise ActionNotFoundError(msg, hint=hint)
        return None
