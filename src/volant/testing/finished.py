"""A run that has ended, as a test looks at it: how it ended, and every action on the way."""

from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Generic, TypeVar

import msgspec

from volant.authoring.loading import load_task
from volant.authoring.task import Task
from volant.client.client import Client
from volant.client.driving import drive
from volant.client.logs import read_log
from volant.client.outputs import Outputs
from volant.client.results import fetch, value_in
from volant.client.runs import RunHandle
from volant.kit.nearest import did_you_mean
from volant.model.errors import ActionNotFoundError, NotSupportedError, RunAbortedError, VolantError
from volant.model.failures import Failure, FailureKind
from volant.model.ids import ActionId
from volant.model.phases import ActionPhase
from volant.model.records import AttemptRecord, ChangeKind
from volant.model.specs import ActionKind, ActionSpec
from volant.testing.examining import Examined, ExaminedAction, examine
from volant.values.arguments import decode_arguments
from volant.values.codec import decode
from volant.values.failures import decode_exception

R = TypeVar("R")

_decode_spec = msgspec.msgpack.Decoder(ActionSpec).decode


class FinishedAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """One try at an action. Instants are those of the session's clock, which jumps over waits."""

    number: int
    """From 0."""
    phase: ActionPhase
    waited: timedelta
    """Between the failure of the attempt before and the moment this one could start: its backoff. Exact."""
    queued_at: datetime
    started_at: datetime | None
    """None when it never started."""
    ended_at: datetime | None
    error: BaseException | None
    """Why it failed, if it did."""


class FinishedAction:
    """One call of a task in a run that has ended."""

    def __init__(self, examined: ExaminedAction, *, run: "FinishedRun[Any]", client: Client) -> None:
        self._examined = examined
        self._run = run
        self._client = client

    @property
    def task(self) -> str:
        """Full name of the task: `environment.function`."""
        return self._examined.record.task

    @property
    def name(self) -> str:
        """Short name of the task."""
        return self._examined.record.short_name

    @property
    def phase(self) -> ActionPhase:
        """How it ended."""
        return self._examined.record.phase

    @property
    def group(self) -> str | None:
        """The group it was called in, if any."""
        return self._examined.record.group

    @property
    def parent(self) -> "FinishedAction | None":
        """The action that called it; None for the root."""
        parent = self._examined.record.parent
        return None if parent is None else self._run.by_id(parent)

    @property
    def children(self) -> "tuple[FinishedAction, ...]":
        """The actions it called, in the order of their creation."""
        mine = self._examined.record.action
        return tuple(action for action in self._run.actions if action.calls_from(mine))

    @cached_property
    def attempts(self) -> tuple[FinishedAttempt, ...]:
        """Every try, in order. Empty when it was aborted before the first."""
        failed_at = {
            change.attempt: change.at for change in self._examined.changes if change.kind is ChangeKind.ATTEMPT_ENDED
        }
        return tuple(_attempt(record, failed_at.get(record.attempt - 1)) for record in self._examined.attempts)

    @property
    def waits(self) -> tuple[timedelta, ...]:
        """The backoff before each further attempt: empty without retries."""
        return tuple(attempt.waited for attempt in self.attempts[1:])

    @cached_property
    def inputs(self) -> dict[str, Any]:
        """The arguments by name, as the task gets them.

        Raises:
            NotSupportedError: the task cannot be loaded here.
        """
        data = fetch(self._examined.record.inputs, self._client.blobs)
        if self._examined.record.kind is not ActionKind.TASK:
            return decode_arguments(data, where=self.name, blobs=lambda: self._client.blobs)
        return self._loaded.interface.decode_arguments(data, blobs=lambda: self._client.blobs)

    @cached_property
    def result(self) -> Any:
        """What the task returned.

        Raises:
            TaskError: it failed; where its exception's class can be extended it is an instance of that too.
        """
        __tracebackhide__ = True
        outputs = self._examined.record.outputs
        if outputs is None:
            raise _exception(self.failure) or RunAbortedError(f"action {self.name!r} has no result: it is {self.phase}")
        if self._examined.record.kind is not ActionKind.TASK:
            data = fetch(outputs, self._client.blobs)
            return decode(data, Any, where=self.name, blobs=lambda: self._client.blobs)
        return value_in(outputs, self._loaded, self._client.blobs)

    @property
    def outputs(self) -> Outputs:
        """What the task returned, in a tuple with names. Raises as `result` does."""
        if self._examined.record.kind is not ActionKind.TASK:
            return Outputs((self.result,))
        found = self._loaded.interface.outputs(self.result)
        return Outputs(tuple(found.values()), tuple(found))

    @cached_property
    def error(self) -> BaseException | None:
        """The exception that it ended with, of the user's type; None when it succeeded."""
        return _exception(self._examined.record.failure)

    @property
    def failure(self) -> Failure | None:
        """What was recorded of the failure, with the traceback as text."""
        return self._examined.record.failure

    @property
    def logs(self) -> str:
        """What its attempts wrote.

        Raises:
            NotSupportedError: it ran inline, where all actions write to the same streams.
        """
        if self._run.mode == "inline":
            msg = f"action {self.name!r} ran inline: what it wrote cannot be told from what the others wrote"
            raise NotSupportedError(msg, hint="use run.logs, or mark the test with @pytest.mark.volant(mode='local')")
        home = self._client.settings.home
        details = self._examined.details
        return "".join(read_log(home, details, attempt.attempt) for attempt in self._examined.attempts)

    def calls_from(self, action: ActionId) -> bool:
        """Whether *action* called this one."""
        return self._examined.record.parent == action

    @cached_property
    def _loaded(self) -> Task[..., Any]:
        try:
            return load_task(_decode_spec(self._examined.details.spec_body).loader)
        except (ImportError, AttributeError, VolantError) as error:
            msg = f"inputs and outputs of action {self.name!r} cannot be read: its task cannot be loaded here: {error}"
            raise NotSupportedError(msg) from error

    def __repr__(self) -> str:
        tries = f" after {len(self.attempts)} attempts" if len(self.attempts) > 1 else ""
        return f"<action {self.name} {self.phase.value}{tries}{_after_colon(self.failure)}>"


class FinishedRun(Generic[R]):
    """A run that has ended, however it ended. What is asked about its actions is looked up at the first question."""

    def __init__(self, run: RunHandle[R], *, client: Client, printed: str | None) -> None:
        """*printed* is what the process wrote meanwhile, for an inline run."""
        self._handle = run
        self._client = client
        self._printed = printed

    @property
    def name(self) -> str:
        """Of the run, in the session's home."""
        return self._handle.name

    @property
    def task(self) -> str:
        """Full name of the root task."""
        return self._handle.task

    @property
    def mode(self) -> str:
        """`inline` or `local`."""
        return self._handle.record.mode

    @property
    def phase(self) -> ActionPhase:
        """How it ended."""
        return self._handle.record.phase

    @property
    def handle(self) -> RunHandle[R]:
        """The same run as `volant.run` gives it."""
        return self._handle

    def outputs(self) -> Outputs:
        """What the root task returned, in a tuple with names.

        Raises:
            TaskError: it failed; where its exception's class can be extended it is an instance of that too.
        """
        __tracebackhide__ = True
        if self.phase is not ActionPhase.SUCCEEDED:
            raise self._what_failed()
        return self._handle.outputs()

    def result(self) -> R:
        """What the root task returned, as the task itself returns it. Raises as `outputs` does."""
        __tracebackhide__ = True
        if self.phase is not ActionPhase.SUCCEEDED:
            raise self._what_failed()
        return self._handle.result()

    @cached_property
    def error(self) -> BaseException | None:
        """What the root task raised, of the user's type; None for a run that succeeded."""
        return None if self.phase is ActionPhase.SUCCEEDED else self._what_failed()

    @property
    def failure(self) -> Failure | None:
        """What was recorded of the failure, with the traceback as text."""
        return self._handle.record.failure

    @cached_property
    def actions(self) -> tuple[FinishedAction, ...]:
        """Every action, the root first, in the order of their creation."""
        return tuple(FinishedAction(each, run=self, client=self._client) for each in self._examined.actions)

    def action(self, name: str) -> FinishedAction:
        """The only action of the task with this short or full name.

        Raises:
            ActionNotFoundError: there is none, or there are several.
        """
        found = self.actions_of(name)
        if len(found) == 1:
            return found[0]
        if found:
            msg = f"run {self.name!r} has {len(found)} actions of {name!r}, expected one"
            raise ActionNotFoundError(msg, hint=f"run.actions_of({name!r}) gives all of them")
        names = list(dict.fromkeys(action.name for action in self.actions))
        msg = f"run {self.name!r} has no action of {name!r}{did_you_mean(name, names)}"
        raise ActionNotFoundError(msg, hint=f"its actions are of {', '.join(names) or 'no task'}")

    def actions_of(self, name: str) -> tuple[FinishedAction, ...]:
        """All actions of the task with this short or full name, in the order of their creation; perhaps none."""
        return tuple(action for action in self.actions if name in (action.name, action.task))

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the user was warned of, once each."""
        return tuple(change.message for change in self._examined.changes if change.kind is ChangeKind.WARNING)

    @property
    def logs(self) -> str:
        """What the actions wrote to standard output and error.

        Of a local run it is what was captured, action by action. Of an inline run it is what Python code of this
        process printed while the run went on; it went to pytest too.
        """
        if self._printed is not None:
            return self._printed
        return "".join(action.logs for action in self.actions)

    def by_id(self, action: ActionId) -> FinishedAction | None:
        """The action of this id."""
        index = {each.record.action: number for number, each in enumerate(self._examined.actions)}.get(action)
        return None if index is None else self.actions[index]

    def _what_failed(self) -> BaseException:
        # A new object each time: who raises it adds to its traceback.
        return _exception(self.failure) or RunAbortedError(f"run {self.name!r} was aborted")

    @cached_property
    def _examined(self) -> Examined:
        return drive(lambda: examine(self._client, self._handle.record), name="FinishedRun.actions", anywhere=True)

    def __repr__(self) -> str:
        return f"<run {self.name} of {self.task} {self.phase.value}{_after_colon(self.failure)}>"


def _attempt(record: AttemptRecord, failed_before: datetime | None) -> FinishedAttempt:
    return FinishedAttempt(
        number=record.attempt,
        phase=record.phase,
        waited=record.queued_at - failed_before if failed_before is not None else timedelta(0),
        queued_at=record.queued_at,
        started_at=record.started_at,
        ended_at=record.ended_at,
        error=_exception(record.failure),
    )


def _exception(failure: Failure | None) -> BaseException | None:
    if failure is None:
        return None
    if failure.kind is FailureKind.ABORTED:
        return RunAbortedError(failure.message)
    return decode_exception(failure)


def why_of(failure: Failure | None) -> str:
    """A failure in one line; nothing when there is none."""
    if failure is None:
        return ""
    first = next((line for line in failure.message.splitlines() if line.strip()), "")
    return f"{failure.code}: {first}" if first else failure.code


def _after_colon(failure: Failure | None) -> str:
    why = why_of(failure)
    return why and f": {why}"
