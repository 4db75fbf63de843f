"""A run, as the program that submitted it sees it, or one that looks at it later."""

import asyncio
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from volant.authoring.task import Task
from volant.client.client import Client
from volant.client.driving import both, both_when, drive
from volant.client.logs import read_log
from volant.client.origins import origin_of
from volant.client.outputs import Outputs
from volant.client.reporting import Reporter
from volant.client.results import (
    error_of,
    fetch,
    find_task,
    inputs_of,
    outcome_of_details,
    outputs_of,
    payload_of,
    value_of,
)
from volant.client.watching import RunEnd, abort_run, abort_when_left, watch_to_end
from volant.kit.homes import logs_path
from volant.model.control_protocol import (
    ActionDetails,
    ActionList,
    ActionSummary,
    GetAction,
    GetRun,
    ListActions,
    RunDetails,
)
from volant.model.phases import ActionPhase
from volant.model.records import ActionRecord, RunRecord
from volant.settings.tree import Mode

R = TypeVar("R")

_PAGE = 1000


def _has_ended(run: "RunHandle[Any]") -> bool:
    return run.is_told


class RunHandle(Generic[R]):
    """One submission of a root task. It goes on, and this object stays good, when the program that made it is gone.

    Every method blocks; its `.aio` twin is awaited: `run.wait()`, `await run.wait.aio()`.
    """

    def __init__(
        self,
        client: Client,
        record: RunRecord,
        *,
        task: Task[..., R] | None = None,
        end: RunEnd | None = None,
        env_vars: Mapping[str, str] | None = None,
        resumed: bool = False,
    ) -> None:
        """*env_vars*: the run's variables, for whoever goes on with it when its engine dies: nobody else has them.
        *resumed*: this process has resumed it, and does so again when its engine has died before it is watched."""
        self._client = client
        self._record = record if end is None else end.run
        self._task: Task[..., Any] | None = task
        self._end = end
        self._env_vars = env_vars
        self._resumed = resumed

    @property
    def name(self) -> str:
        """Unique in its home."""
        return self._record.run

    @property
    def task(self) -> str:
        """Full name of the root task."""
        return self._record.task

    @property
    def phase(self) -> ActionPhase:
        """Where the run stands now. A question to the engine until the run has ended: a millisecond or so."""
        if not self._record.phase.is_final:
            drive(self._refresh, name="Run.phase", anywhere=True)
        return self._record.phase

    @property
    def record(self) -> RunRecord:
        """All that was last known about it."""
        return self._record

    def raise_failure(self) -> None:
        """Raise what the root task raised, if the run is known to have failed."""
        error = self.error
        if error is not None:
            raise error

    @property
    def error(self) -> BaseException | None:
        """What the root task raised, if the run is known to have failed."""
        return error_of(self._end.run, self._end.outcome) if self._end is not None else None

    @property
    def url(self) -> str:
        """Where to look at the run: without a server, the folder of its captured output."""
        return (logs_path(self._client.settings.home) / self._record.run).as_uri()

    @both_when(_has_ended)
    async def wait(self) -> None:
        """Wait until the run has ended, however it ends. Ctrl-C, or cancelling the call, aborts the run."""
        await self._wait(self._client.new_reporter(Mode(self._record.mode)), abort_if_left=True)

    @both
    async def watch(self) -> None:
        """Show the run until it has ended. Leaving does not abort it."""
        await self._wait(self._client.new_reporter(Mode(self._record.mode)), abort_if_left=False)

    @both_when(_has_ended)
    async def done(self) -> bool:
        """Whether the run has ended."""
        if not self._record.phase.is_final:
            await self._refresh()
        return self._record.phase.is_final

    @both_when(_has_ended)
    async def outputs(self) -> Outputs:
        """What the root task returned, in a tuple with names, once the run has ended.

        Raises:
            TaskError: the task failed; where its exception's class can be extended it is an instance of that too.
        """
        return outputs_of(await self._value(), await self._known_task())

    @both_when(_has_ended)
    async def result(self) -> R:
        """What the root task returned, as the task itself returns it, once the run has ended.

        Raises:
            TaskError: as `outputs`.
        """
        value: R = await self._value()
        return value

    @both_when(_has_ended)
    async def encoded_result(self) -> bytes:
        """The stored bytes of what the root task returned; they can be read where the task cannot be imported.

        Raises:
            TaskError: as `outputs`.
        """
        end = await self._ended()
        return fetch(payload_of(end.run.run, end.outcome), self._client.blobs)

    @both
    async def inputs(self) -> dict[str, Any]:
        """The arguments of the root task by name, without defaults that were left to the function.

        Raises:
            NotSupportedError: the task cannot be imported here.
        """
        details = await self._action(self._record.root)
        return inputs_of(details, await self._known_task(), self._client.blobs)

    @both
    async def abort(self, reason: str = "aborted by the user") -> None:
        """Abort the run; done when that is committed and its processes are gone. Nothing happens to one that ended."""
        async with self._client.connection() as connection:
            await abort_run(connection, self._record.run, reason=reason)
        await self._refresh()

    @both
    async def details(self) -> RunDetails:
        """The run's record, how many of its actions stand in each phase, and whether it is being executed."""
        async with self._client.connection() as connection:
            return await connection.ask(lambda number: GetRun(request=number, run=self._record.run), RunDetails)

    @both
    async def actions(self) -> tuple[ActionRecord, ...]:
        """All actions of the run, in the order of their creation."""
        found: list[ActionRecord] = []
        after = 0
        async with self._client.connection() as connection:
            while True:
                page = await connection.ask(partial(self._list_actions, after), ActionList)
                found += page.actions
                if page.position == after:
                    return tuple(found)
                after = page.position

    @both
    async def logs(self, action: str | None = None, *, attempt: int | None = None) -> str:
        """What the root task wrote, or another *action*, in its newest attempt or the given one."""
        wanted = action or self._record.root
        details = await self._action(wanted)
        return read_log(self._client.settings.home, details, attempt)

    @both
    async def origin(self) -> ActionSummary | None:
        """Of a run that failed, the action in which that began; None when it was the root task's own failure."""
        async with self._client.connection() as connection:
            return await origin_of(connection, self._record)

    @both
    async def log_path(self, action: str | None = None) -> Path | None:
        """The file with what the newest attempt of the root task, or of another *action*, wrote; None where no attempt
        has begun, and for inline runs, whose output nobody captures."""
        details = await self._action(action or self._record.root)
        found = [each.log for each in sorted(details.attempts, key=lambda each: each.attempt) if each.log]
        return self._client.settings.home / found[-1] if found else None

    async def _wait(self, reporter: Reporter, *, abort_if_left: bool) -> RunEnd:
        if self._end is not None:
            return self._end
        async with self._client.connection() as connection:
            reporter.accepted(self._record)
            try:
                self._end = await watch_to_end(
                    self._client,
                    connection,
                    self._record.run,
                    reporter,
                    env_vars=self._env_vars,
                    resumed=self._resumed,
                )
            except asyncio.CancelledError:
                if abort_if_left:
                    await abort_when_left(self._client, connection, self._record.run, reporter)
                raise
            finally:
                reporter.close()
        self._record = self._end.run
        return self._end

    async def _refresh(self) -> None:
        async with self._client.connection() as connection:
            details = await connection.ask(lambda number: GetRun(request=number, run=self._record.run), RunDetails)
        self._record = details.run
        outcome = outcome_of_details(details)
        if outcome is not None:
            self._end = RunEnd(details.run, outcome)

    @property
    def is_told(self) -> bool:
        """Whether everything about its end is known here: nobody needs to be asked."""
        return self._end is not None and self._task is not None

    async def _ended(self) -> RunEnd:
        if self._end is None and self._record.phase.is_final:
            await self._refresh()
        end = await self._wait(self._client.new_reporter(Mode(self._record.mode)), abort_if_left=True)
        self.raise_failure()
        return end

    async def _value(self) -> Any:
        end = await self._ended()
        return value_of(end.run.run, end.outcome, await self._known_task(), self._client.blobs)

    async def _known_task(self) -> Task[..., Any]:
        if self._task is None:
            self._task = find_task(await self._action(self._record.root), self._record.run)
        return self._task

    async def _action(self, action: str) -> ActionDetails:
        async with self._client.connection() as connection:
            return await connection.ask(
                lambda number: GetAction(request=number, run=self._record.run, action=action), ActionDetails
            )

    def _list_actions(self, after: int, number: int) -> ListActions:
        return ListActions(request=number, run=self._record.run, after=after, limit=_PAGE)

    def __repr__(self) -> str:
        return f"Run(name={self.name!r}, task={self.task!r}, phase={self._record.phase.value})"
