"""From a client's submission to a run."""

from collections.abc import Awaitable, Callable
from datetime import datetime

import msgspec

from volant.engine.engine import Engine, Inputs, Submission
from volant.engine.live_run import LiveRun
from volant.engine.naming import checked_run_name, new_run_name
from volant.kit.clock import Clock
from volant.model.control_protocol import RunOptions, SubmitRun
from volant.model.errors import BatchRefusedError, RunNameTakenError
from volant.model.ids import ActionId, RunId
from volant.model.phases import ActionPhase
from volant.model.records import RunRecord
from volant.model.reusing import Reuse
from volant.model.submissions import encode_submission
from volant.model.worker_protocol import RunContext
from volant.ports.journal import Journal
from volant.ports.launcher import Launcher


class Submissions:
    """Names runs, writes their first record and gives them to the engine."""

    def __init__(
        self,
        *,
        engine: Engine,
        journal: Journal,
        clock: Clock,
        engine_name: str,
        home: str,
        blobs: str,
        resolve: Callable[[Reuse], Awaitable[tuple[RunRecord, Reuse]]],
        new_root: Callable[[], ActionId],
    ) -> None:
        """*resolve* finds the run that a client means to take over from, as `volant.engine.resolving.resolve` does;
        *new_root* makes up the id of a root action."""
        self._engine = engine
        self._journal = journal
        self._clock = clock
        self._engine_name = engine_name
        self._home = home
        self._blobs = blobs
        self._resolve = resolve
        self._new_root = new_root

    async def submit(self, message: SubmitRun, launcher: Callable[[RunId, str], Launcher]) -> LiveRun:
        """Create a run; returns once it is committed. *launcher* gives what executes a run of a mode.

        Raises:
            RunNameTakenError: there is a run of that name; nothing was written.
            CallError: what it is to take over from another run cannot be; nothing was written.
            JournalError: nothing was written.
            EngineGoneError: the engine is leaving; nothing was written.
        """
        options = message.options
        root = self._new_root()
        if options.reuse is not None:
            before, reuse = await self._resolve(options.reuse)
            options = msgspec.structs.replace(options, reuse=reuse)
            # Ids follow from the root's: so equal calls have equal ones in both runs.
            root = before.root
        name = checked_run_name(options.name) if options.name else await self._unused_name()
        # The journal is asked first: nothing may come between looking at the live runs and becoming one.
        if await self._journal.run(name) is not None or name in self._engine.runs:
            raise _taken(name)
        now = self._clock.now()
        record = RunRecord(
            run=name,
            task=msgspec.msgpack.decode(message.spec_body)["task"],
            root=root,
            phase=ActionPhase.QUEUED,
            created_at=now,
            mode=options.mode,
            labels=options.labels,
            annotations=options.annotations,
            options=encode_submission(options, message.code),
            bundle=message.code.digest,
            owner=self._engine_name,
            token=1,
            blobs=self._blobs,
        )
        submission = Submission(
            record=record,
            spec=message.spec,
            spec_body=message.spec_body,
            context=self.context(name, now, options),
            code=message.code,
            options=options,
            environ=message.environ,
            inputs=Inputs(payload=message.inputs, digest=message.inputs_digest),
            warnings=message.warnings,
        )
        try:
            return await self._engine.submit(submission, launcher(name, options.mode))
        except BatchRefusedError as error:
            found = await self._journal.run(name)
            if found is None or found.owner == record.owner:
                raise
            # The engine of another home was faster by a moment.
            raise _taken(name) from error

    def context(self, run: RunId, created_at: datetime, options: RunOptions) -> RunContext:
        """What every attempt of a run is told about it."""
        return RunContext(
            run=run,
            mode=options.mode,
            created_at=created_at,
            raw_data_path=options.raw_data_path or f"{self._home}/raw/{run}",
            custom_context=options.custom_context,
            home=self._home,
            blobs=self._blobs,
            takes_over=options.reuse is not None,
        )

    async def _unused_name(self) -> RunId:
        while True:
            name = new_run_name()
            if name not in self._engine.runs and await self._journal.run(name) is None:
                return name


def _taken(name: RunId) -> RunNameTakenError:
    msg = f"a run named '{name}' exists already in this home"
    return RunNameTakenError(msg, hint="leave the name out, or delete the other run")
