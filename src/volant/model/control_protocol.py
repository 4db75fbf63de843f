"""What clients and the engine say to one another over the home's socket. Version 1.

A client says `Hello` and gets `Welcome` or `Refused`. Then it asks: every request carries a number, and
its answer the same number. `WatchRun` is answered by `RunEvents` until the run has ended or `Unwatch`.
An inline client also speaks the worker protocol, wrapped in `FromInline` and `ToInline`.
"""

from datetime import datetime

import msgspec

from volant.model.code import CodeSource
from volant.model.ids import ActionId, RunId, SpecDigest
from volant.model.payloads import Payload
from volant.model.phases import ActionPhase
from volant.model.records import ActionRecord, AttemptRecord, Change, RunRecord
from volant.model.reusing import Reuse
from volant.model.specs import ActionKind, ActionSpec
from volant.model.waits import Wait
from volant.model.worker_protocol import EngineToWorker, Outcome, WorkerToEngine

CONTROL_PROTOCOL_VERSION = 1

_LONGEST_MESSAGE = 400
"""Characters of a failure that a summary tells."""


class Hello(msgspec.Struct, frozen=True, kw_only=True, tag="hello"):
    """The first frame of a client."""

    protocol: int
    version: str
    """Of the package, for messages."""
    pid: int


class Welcome(msgspec.Struct, frozen=True, kw_only=True, tag="welcome"):
    """The engine's answer to a client it can serve."""

    protocol: int
    version: str
    engine: str
    """Name of this engine's life: changes with every start."""
    pid: int
    journal: str = ""
    """Where it keeps the journal."""
    blobs: str = ""
    """Where it keeps large values."""


class Refused(msgspec.Struct, frozen=True, kw_only=True, tag="refused"):
    """The engine does not serve this client, or cannot do what a request asks. Nothing was written."""

    request: int = 0
    error: str
    """Class name in `volant.model.errors`."""
    message: str
    hint: str | None = None


class RunOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Run-level options, after flags, arguments and settings are merged."""

    mode: str = "local"
    name: str | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    custom_context: dict[str, str] = {}
    raw_data_path: str | None = None
    interruptible: bool | None = None
    queue: str | None = None
    max_action_concurrency: int | None = None
    overwrite_cache: bool = False
    disable_run_cache: bool = False
    env_vars: dict[str, str] = {}
    """In memory only: of what is recorded there are `env_names`."""
    env_names: tuple[str, ...] = ()
    """Names in `env_vars` when the run was submitted, in what is recorded."""
    grace_period: float = 5.0
    """Seconds."""
    strict: bool = False
    """Whether what cannot be had or enforced is refused, and not warned about."""
    reuse: Reuse | None = None
    """What the run takes over from another one, which has ended."""


class SubmitRun(msgspec.Struct, frozen=True, kw_only=True, tag="submit"):
    """Create a run. Answered by `RunAccepted` once it is committed."""

    request: int
    spec: SpecDigest
    spec_body: bytes
    inputs: Payload
    inputs_digest: str | None
    code: CodeSource
    options: RunOptions
    environ: dict[str, str]
    """The client's environment variables. Kept in memory, never journaled."""
    warnings: tuple[str, ...] = ()
    watch: bool = True
    shows: bool = True
    """Whether the client shows what it is told beside the run: that there are interrupted ones is told once."""


class ResumeRun(msgspec.Struct, frozen=True, kw_only=True, tag="resume"):
    """Go on with a run whose engine is gone. Answered by `RunAccepted`, also when this engine executes it already."""

    request: int
    run: str
    """A name, or as much of it as is unique."""
    environ: dict[str, str]
    """Environment variables for what is executed from now on, in place of those of before."""
    env_vars: dict[str, str] = {}
    """The run's own, which nobody has kept."""
    code: CodeSource | None = None
    """In place of the code that the run has had."""


class RunAccepted(msgspec.Struct, frozen=True, kw_only=True, tag="accepted"):
    request: int
    run: RunRecord
    interrupted: tuple[RunId, ...] = ()
    """Runs that nobody executes, because their engine is gone. Each engine tells this once."""


class WatchRun(msgspec.Struct, frozen=True, kw_only=True, tag="watch"):
    """Tell all changes after *after*, then new ones as they are committed."""

    request: int
    run: RunId
    after: int = 0


class Unwatch(msgspec.Struct, frozen=True, kw_only=True, tag="unwatch"):
    request: int
    run: RunId


class RunEvents(msgspec.Struct, frozen=True, kw_only=True, tag="events"):
    """Committed changes, in order; with the last ones the run's outcome."""

    run: RunId
    changes: tuple[Change, ...]
    ended: RunRecord | None = None
    outcome: Outcome | None = None


class AbortRun(msgspec.Struct, frozen=True, kw_only=True, tag="abort"):
    """Abort a run, or one action of it. Answered by `Done` when the abort is committed and the processes are gone."""

    request: int
    run: RunId
    action: str | None = None
    """Named as in `GetAction`."""
    reason: str = "aborted by the user"


class GetRun(msgspec.Struct, frozen=True, kw_only=True, tag="get run"):
    request: int
    run: str
    """A name, or as much of it as is unique."""


class RunDetails(msgspec.Struct, frozen=True, kw_only=True, tag="run details"):
    request: int
    run: RunRecord
    counts: dict[str, int]
    root_outputs: Payload | None = None
    live: bool
    """Whether this engine is executing it now."""
    elsewhere: bool = False
    """Whether the engine of another home, on the same database, has it."""


class ListRuns(msgspec.Struct, frozen=True, kw_only=True, tag="list runs"):
    request: int
    phases: tuple[ActionPhase, ...] = ()
    task: str | None = None
    labels: dict[str, str] = {}
    since: datetime | None = None
    before: RunId | None = None
    limit: int = 100


class ListInterrupted(msgspec.Struct, frozen=True, kw_only=True, tag="list interrupted"):
    """Runs that no engine executes, oldest first. Answered by `RunList`."""

    request: int


class RunList(msgspec.Struct, frozen=True, kw_only=True, tag="run list"):
    request: int
    runs: tuple[RunRecord, ...]


class ListActions(msgspec.Struct, frozen=True, kw_only=True, tag="list actions"):
    request: int
    run: RunId
    parent: ActionId | None = None
    phases: tuple[ActionPhase, ...] = ()
    after: int = 0
    limit: int = 1000


class ActionList(msgspec.Struct, frozen=True, kw_only=True, tag="action list"):
    request: int
    actions: tuple[ActionRecord, ...]
    position: int
    """Pass it as *after* for the next page; unchanged when there is none."""


class GetAction(msgspec.Struct, frozen=True, kw_only=True, tag="get action"):
    request: int
    run: str
    """A name, or as much of it as is unique."""
    action: str
    """An id, or as much of it as is unique; or the name of a task that the run called once."""


class ActionDetails(msgspec.Struct, frozen=True, kw_only=True, tag="action details"):
    request: int
    action: ActionRecord
    attempts: tuple[AttemptRecord, ...]
    spec_body: bytes
    wait: Wait | None = None
    """What it waits for, if this engine executes it."""


class ActionSummary(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An action without its values: what a tree of many shows."""

    action: ActionId
    parent: ActionId | None
    task: str
    short_name: str
    phase: ActionPhase
    group: str | None = None
    attempts: int = 0
    created_at: datetime
    started_at: datetime | None = None
    """Start of the newest attempt's user code."""
    ended_at: datetime | None = None
    code: str = ""
    """Of its failure."""
    message: str = ""
    """The first line of its failure."""
    wait: Wait | None = None
    """What it waits for, if this engine executes it."""
    reused_from: RunId | None = None
    """The run that executed it, if this one took over the outcome."""
    kind: ActionKind = ActionKind.TASK

    @classmethod
    def of(cls, action: ActionRecord, wait: Wait | None) -> "ActionSummary":
        """What is left of a record without its values."""
        failure = action.failure
        return cls(
            action=action.action,
            parent=action.parent,
            task=action.task,
            short_name=action.short_name,
            phase=action.phase,
            group=action.group,
            attempts=action.attempts,
            created_at=action.created_at,
            started_at=action.started_at,
            ended_at=action.ended_at,
            code="" if failure is None else failure.code,
            message="" if failure is None else failure.first_line[:_LONGEST_MESSAGE],
            wait=wait,
            reused_from=action.reused_from,
            kind=action.kind,
        )


class ListSummaries(msgspec.Struct, frozen=True, kw_only=True, tag="list summaries"):
    """As `ListActions`."""

    request: int
    run: RunId
    parent: ActionId | None = None
    phases: tuple[ActionPhase, ...] = ()
    after: int = 0
    limit: int = 1000


class SummaryList(msgspec.Struct, frozen=True, kw_only=True, tag="summary list"):
    request: int
    actions: tuple[ActionSummary, ...]
    position: int
    """Pass it as *after* for the next page; unchanged when there is none."""


class DeleteRun(msgspec.Struct, frozen=True, kw_only=True, tag="delete run"):
    """Forget a run that has ended, and its captured output. Answered by `Done` when that is committed."""

    request: int
    run: RunId


class TaskRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A task that runs have used, as it was used last."""

    spec: SpecDigest
    used_at: datetime
    settings: ActionSpec
    """Without what the task carries by value."""


class ListTasks(msgspec.Struct, frozen=True, kw_only=True, tag="list tasks"):
    """Answered by `TaskList`, the task that was used last first."""

    request: int
    task: str | None = None
    """Only the one of this full name."""
    environment: str | None = None
    limit: int = 100


class TaskList(msgspec.Struct, frozen=True, kw_only=True, tag="task list"):
    request: int
    tasks: tuple[TaskRecord, ...]


class ListWorkers(msgspec.Struct, frozen=True, kw_only=True, tag="list workers"):
    """Answered by `WorkerList`."""

    request: int


class WorkerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A live attempt."""

    run: RunId
    action: ActionId
    attempt: int
    task: str
    environment: str
    phase: ActionPhase
    mode: str
    pid: int | None
    """None while there is no process yet."""
    started_at: datetime | None
    wait: Wait | None


class WorkerList(msgspec.Struct, frozen=True, kw_only=True, tag="worker list"):
    request: int
    workers: tuple[WorkerStatus, ...]


class GetStatus(msgspec.Struct, frozen=True, kw_only=True, tag="get status"):
    request: int


class ZygoteStatus(msgspec.Struct, frozen=True, kw_only=True):
    pid: int
    environment: str
    forks: int
    """Live ones."""
    imported: bool


class EngineStatus(msgspec.Struct, frozen=True, kw_only=True, tag="status"):
    request: int
    pid: int
    version: str
    started_at: datetime
    home: str
    clients: int
    live_runs: tuple[RunId, ...]
    live_actions: int
    queued_actions: int
    live_attempts: int
    cpu: int
    """Capacity in thousandths of a core."""
    cpu_used: int
    zygotes: tuple[ZygoteStatus, ...]
    resident_memory: int
    """Bytes."""
    settings: dict[str, str] = {}
    """What it read when it started, for people; nothing secret is in it."""


class StopEngine(msgspec.Struct, frozen=True, kw_only=True, tag="stop"):
    """Leave. Refused while runs are live, unless *abort_runs*. Answered by `Done`, then the connection ends."""

    request: int
    abort_runs: bool = False


class Done(msgspec.Struct, frozen=True, kw_only=True, tag="done"):
    request: int


class FromInline(msgspec.Struct, frozen=True, kw_only=True, tag="from inline"):
    messages: tuple[WorkerToEngine, ...]


class ToInline(msgspec.Struct, frozen=True, kw_only=True, tag="to inline"):
    messages: tuple[EngineToWorker, ...]


ClientToEngine = (
    Hello
    | SubmitRun
    | ResumeRun
    | WatchRun
    | Unwatch
    | AbortRun
    | GetRun
    | ListRuns
    | ListInterrupted
    | ListActions
    | GetAction
    | ListSummaries
    | ListTasks
    | ListWorkers
    | DeleteRun
    | GetStatus
    | StopEngine
    | FromInline
)
EngineToClient = (
    Welcome
    | Refused
    | RunAccepted
    | RunEvents
    | RunDetails
    | RunList
    | ActionList
    | ActionDetails
    | SummaryList
    | TaskList
    | WorkerList
    | EngineStatus
    | Done
    | ToInline
)
