"""An action of a run, as a program sees it that looks at it."""

from datetime import datetime
from typing import Any

from volant.authoring.task import Task
from volant.client.client import Client
from volant.client.driving import both
from volant.client.logs import read_log
from volant.client.outputs import Outputs
from volant.client.results import fetch, find_task, inputs_of, outputs_of, value_in
from volant.model.control_protocol import AbortRun, ActionDetails, ActionSummary, Done, GetAction
from volant.model.errors import RuntimeSystemError
from volant.model.ids import RunId
from volant.model.phases import ActionPhase
from volant.model.records import ChangeKind
from volant.model.specs import ActionKind
from volant.values.arguments import decode_arguments
from volant.values.codec import decode
from volant.values.failures import decode_exception


class ActionHandle:
    """One call of a task inside a run. What it says of itself is what was known when it was looked up.

    Every method blocks; its `.aio` twin is awaited.
    """

    def __init__(self, client: Client, run: RunId, summary: ActionSummary) -> None:
        self._client = client
        self._run = run
        self._summary = summary

    @property
    def name(self) -> str:
        """Its id: 32 hex digits, unique in its run."""
        return self._summary.action

    @property
    def run_name(self) -> str:
        """The run that it is part of."""
        return self._run

    @property
    def task_name(self) -> str:
        """Full name of the task that was called."""
        return self._summary.task

    @property
    def parent(self) -> str | None:
        """The action that called it; None for the root."""
        return self._summary.parent

    @property
    def group(self) -> str | None:
        """The `volant.group` that it was called in."""
        return self._summary.group

    @property
    def phase(self) -> ActionPhase:
        """Where it stood."""
        return self._summary.phase

    @property
    def attempts(self) -> int:
        """Attempts started so far."""
        return self._summary.attempts

    @property
    def reused_from(self) -> str | None:
        """The run that executed it, where this run took over its outcome: see `volant.rerun`."""
        return self._summary.reused_from

    @property
    def created_at(self) -> datetime:
        """When it was called."""
        return self._summary.created_at

    @property
    def start_time(self) -> datetime | None:
        """When the newest attempt's user code began."""
        return self._summary.started_at

    @property
    def end_time(self) -> datetime | None:
        """When it had its outcome."""
        return self._summary.ended_at

    def done(self) -> bool:
        """Whether it had ended."""
        return self.phase.is_final

    @both
    async def sync(self) -> "ActionHandle":
        """Look it up again; gives itself."""
        details = await self._details()
        self._summary = ActionSummary.of(details.action, details.wait)
        return self

    @both
    async def details(self) -> ActionDetails:
        """Its record with its values, its attempts, its spec, and what it waits for."""
        return await self._details()

    @both
    async def wait(self) -> None:
        """Return when it has ended, however it ended. Leaving does not abort it."""
        if self.phase.is_final:
            return
        async with self._client.connection() as connection:
            async for events in connection.watch(self._run):
                ended = (each for each in events.changes if each.kind is ChangeKind.ACTION_ENDED)
                if any(each.action == self.name for each in ended):
                    break
        details = await self._details()
        self._summary = ActionSummary.of(details.action, details.wait)

    @both
    async def inputs(self) -> dict[str, Any]:
        """The arguments of the call by name, without defaults that were left to the function.

        Raises:
            NotSupportedError: the task cannot be imported here.
        """
        details = await self._details()
        if details.action.kind is not ActionKind.TASK:
            data = fetch(details.action.inputs, self._client.blobs)
            return decode_arguments(data, where=self.name, blobs=lambda: self._client.blobs)
        return inputs_of(details, self._task(details), self._client.blobs)

    @both
    async def outputs(self) -> Outputs:
        """What it returned, in a tuple with names.

        Raises:
            TaskError: it failed; where its exception's class can be extended it is an instance of that too.
            RuntimeSystemError: it has no outputs yet.
            NotSupportedError: the task cannot be imported here.
        """
        details = await self._details()
        action = details.action
        if action.failure is not None and action.phase.is_final:
            raise decode_exception(action.failure)
        if action.outputs is None:
            msg = f"action {self.name[:12]} of run {self._run!r} has no outputs: it is {action.phase}"
            raise RuntimeSystemError(msg)
        if action.kind is not ActionKind.TASK:
            data = fetch(action.outputs, self._client.blobs)
            return Outputs((decode(data, Any, where=self.name, blobs=lambda: self._client.blobs),))
        task = self._task(details)
        return outputs_of(value_in(action.outputs, task, self._client.blobs), task)

    @both
    async def logs(self, *, attempt: int | None = None) -> str:
        """What its newest attempt wrote, or the given one, counted from 0."""
        return read_log(self._client.settings.home, await self._details(), attempt)

    @both
    async def abort(self, reason: str = "aborted by the user") -> None:
        """Abort it and all below it; done when that is committed. Nothing happens to one that has ended."""
        async with self._client.connection() as connection:
            await connection.ask(
                lambda number: AbortRun(request=number, run=self._run, action=self.name, reason=reason), Done
            )

    def _task(self, details: ActionDetails) -> Task[..., Any]:
        return find_task(details, self._run)

    async def _details(self) -> ActionDetails:
        async with self._client.connection() as connection:
            return await connection.ask(
                lambda number: GetAction(request=number, run=self._run, action=self.name), ActionDetails
            )

    def __repr__(self) -> str:
        return f"Action(run={self._run!r}, name={self.name[:12]!r}, task={self.task_name!r}, phase={self.phase.value})"
