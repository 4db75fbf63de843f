"""The live part of a run: what has not ended, or has ended and was not told yet.

These objects change; they belong to one `RunMachine` and never leave it.
"""

from datetime import datetime
from enum import Enum, StrEnum, auto
from typing import Protocol

import msgspec

from volant.decide.replay import Replay
from volant.model.failures import Failure
from volant.model.ids import ActionId, AttemptKey, CallId, RunId, SpecDigest
from volant.model.payloads import Payload, SavedCheckpoint
from volant.model.phases import ActionPhase
from volant.model.records import ActionRecord, AttemptRecord
from volant.model.specs import ActionSpec
from volant.model.worker_protocol import Aborted, Failed, Outcome, Succeeded


class Stage(Enum):
    """Where a live action stands, finer than its phase."""

    BACKING_OFF = auto()
    """It waits for the time of its next attempt."""
    SLEEPING = auto()
    """It is a timer."""
    HELD = auto()
    """It is executed again, and waits until what it left below itself the last time is gone."""
    PAUSING = auto()
    """Its process is being ended, since it only waits, and for long."""
    PAUSED = auto()
    """It waits without a process; the end of something that it called queues it again."""
    QUEUED = auto()
    """It waits for a place."""
    STARTING = auto()
    """It was admitted; there is no process yet."""
    RUNNING = auto()
    FINISHED = auto()
    """The worker has said its last word; its process is not gone yet."""
    ENDING = auto()
    """Its process tree is being killed."""
    ENDED = auto()
    """It has its outcome."""


class AbortCause(StrEnum):
    """Who wanted the end of an action: kept as the `code` of its failure, since a replay depends on it."""

    ASKED = "Aborted"
    """Somebody outside the run, or the worker itself: its caller was told, as of a failure."""
    CALLER = "Cancelled"
    """Its caller no longer waited for it; one that is executed again will cancel it again."""
    PARENT = "ParentEnded"
    """Its parent ended or was aborted: nobody was told."""


class Earlier(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a child that has ended and that its parent may ask for again."""

    action: ActionId
    phase: ActionPhase
    cause: AbortCause | None
    """Why it was aborted, if it was."""
    seq: int
    """Order of its outcome among those of the run."""
    parent_failures: int
    attempts: int
    user_failures: int
    lost: int
    created_at: datetime
    checkpoint: SavedCheckpoint | None = None

    @classmethod
    def of(cls, record: ActionRecord) -> "Earlier":
        """What the row of an action that has ended tells."""
        cause = None
        if record.phase is ActionPhase.ABORTED:
            cause = AbortCause.ASKED if record.failure is None else AbortCause(record.failure.code)
        return cls(
            action=record.action,
            phase=record.phase,
            cause=cause,
            seq=record.outcome_seq or 0,
            parent_failures=record.parent_failures,
            attempts=record.attempts,
            user_failures=record.user_failures,
            lost=record.lost,
            created_at=record.created_at,
            checkpoint=record.checkpoint,
        )

    def is_replayed_to(self, failures: int) -> bool:
        """Whether its outcome holds for a parent that has failed *failures* times by itself, or it is executed again.

        A success always holds. A failure does until the parent fails by itself; see DESIGN.md, section 5.
        """
        if self.phase is ActionPhase.SUCCEEDED:
            return True
        return self.cause in (None, AbortCause.ASKED) and self.parent_failures == failures


class Asked(Protocol):
    """What messages and rows say alike of an action."""

    @property
    def action(self) -> ActionId: ...
    @property
    def spec(self) -> SpecDigest: ...
    @property
    def inputs(self) -> Payload: ...
    @property
    def inputs_digest(self) -> str | None: ...
    @property
    def group(self) -> str | None: ...


class LiveAttempt:
    """The attempt that an action has now."""

    __slots__ = (
        "blocker",
        "calls",
        "cpu_seconds",
        "earlier",
        "ended_at",
        "exit_status",
        "failure",
        "for_engine",
        "held",
        "key",
        "log",
        "number",
        "peak_memory",
        "phase",
        "pid",
        "queued_at",
        "recorded",
        "replay",
        "started_at",
        "telling",
        "told",
        "waits",
    )

    def __init__(self, number: int, queued_at: datetime) -> None:
        self.number = number
        self.key: AttemptKey | None = None
        self.phase = ActionPhase.QUEUED
        self.pid: int | None = None
        self.queued_at = queued_at
        self.started_at: datetime | None = None
        self.ended_at: datetime | None = None
        self.exit_status: str | None = None
        self.cpu_seconds: float | None = None
        self.peak_memory: int | None = None
        self.log: str | None = None
        self.failure: Failure | None = None
        self.calls: dict[CallId, ActionId] = {}
        """Calls without an answer."""
        self.told = 0
        """Answers that were sent."""
        self.telling = 0
        """Recorded outcomes that are being read for it."""
        self.waits = False
        """It said that it has nothing to do."""
        self.for_engine = False
        """And that nothing of its own can wake it."""
        self.blocker: ActionId | None = None
        """A call that was last seen to keep it from being put away."""
        self.held: dict[CallId, LiveAction] = {}
        """Calls that an earlier attempt of the parent cancelled: they wait to be cancelled again."""
        self.replay: Replay | None = None
        """Outcomes of earlier attempts' children, and of those that ended before this one asked for them; None in a
        first attempt, which asks for every child before it ends."""
        self.recorded: tuple[Earlier, ...] = ()
        """Of one that outlived its engine: its action's ended children, until it says which of them it was told."""
        self.earlier: dict[ActionId, Earlier] = {}
        """Children whose outcome is not replayed: they are executed again when asked for."""

    def record(self, run: RunId, action: ActionId, launcher: str, host: str) -> AttemptRecord:
        """Its row."""
        return AttemptRecord(
            run=run,
            action=action,
            attempt=self.number,
            phase=self.phase,
            launcher=launcher,
            host=host,
            pid=self.pid,
            queued_at=self.queued_at,
            started_at=self.started_at,
            ended_at=self.ended_at,
            exit_status=self.exit_status,
            cpu_seconds=self.cpu_seconds,
            peak_memory=self.peak_memory,
            log=self.log,
            failure=self.failure,
        )


class LiveAction:
    """An action that has not ended."""

    __slots__ = (
        "abort_cause",
        "abort_reason",
        "attempt",
        "attempts",
        "callers",
        "cancelled_by",
        "checkpoint",
        "children",
        "created_at",
        "depth",
        "due_at",
        "earlier",
        "ended_at",
        "failure",
        "forgiven",
        "group",
        "id",
        "inputs",
        "inputs_digest",
        "lost",
        "not_before",
        "outcome_seq",
        "outputs",
        "parent",
        "parent_failures",
        "phase",
        "queued_at",
        "reused_from",
        "roused",
        "spec",
        "spec_digest",
        "stage",
        "started_at",
        "user_failures",
    )

    def __init__(
        self,
        *,
        action: ActionId,
        parent: "LiveAction | None",
        spec_digest: SpecDigest,
        spec: ActionSpec,
        inputs: Payload,
        inputs_digest: str | None,
        group: str | None,
        created_at: datetime,
    ) -> None:
        self.id = action
        self.parent = parent
        self.depth: int = 0 if parent is None else parent.depth + 1
        self.spec_digest = spec_digest
        self.spec = spec
        self.inputs = inputs
        self.inputs_digest = inputs_digest
        self.group = group
        self.created_at = created_at
        self.queued_at = created_at
        self.phase = ActionPhase.QUEUED
        self.stage = Stage.QUEUED
        self.parent_failures = 0
        self.attempts = 0
        self.user_failures = 0
        self.lost = 0
        self.forgiven = 0
        """Losses that do not count against its budget any more."""
        self.started_at: datetime | None = None
        self.ended_at: datetime | None = None
        self.outcome_seq: int | None = None
        self.outputs: Payload | None = None
        self.failure: Failure | None = None
        self.attempt: LiveAttempt | None = None
        self.callers: list[tuple[AttemptKey, CallId]] = []
        self.children: dict[ActionId, LiveAction] = {}
        self.abort_reason: str | None = None
        self.abort_cause = AbortCause.ASKED
        self.cancelled_by: tuple[AttemptKey, CallId] | None = None
        """The call whose cancellation aborts it."""
        self.earlier: Earlier | None = None
        """Its outcome of before, when it is executed again; its failures do not count against the budgets of now."""
        self.reused_from: RunId | None = None
        """The run that executed it, where its outcome was taken over."""
        self.not_before: datetime | None = None
        """When the next attempt may start, after a failure."""
        self.roused = False
        """Something that it waits for has ended while its process was being ended."""
        self.checkpoint: SavedCheckpoint | None = None
        """What its attempts saved last."""
        self.due_at: datetime | None = None
        """When a timer ends."""

    @classmethod
    def below(cls, parent: "LiveAction", asked: "Asked", spec: ActionSpec, created_at: datetime) -> "LiveAction":
        """What an attempt of *parent* asked for, or what is recorded of the like."""
        live = cls(
            action=asked.action,
            parent=parent,
            spec_digest=asked.spec,
            spec=spec,
            inputs=asked.inputs,
            inputs_digest=asked.inputs_digest,
            group=asked.group,
            created_at=created_at,
        )
        live.parent_failures = parent.user_failures
        return live

    def resume(self, earlier: Earlier) -> None:
        """It was executed before: attempts and failures go on from there."""
        self.earlier = earlier
        self.created_at = earlier.created_at
        self.attempts = earlier.attempts
        self.user_failures = earlier.user_failures
        self.lost = earlier.lost
        self.checkpoint = earlier.checkpoint

    @property
    def spent(self) -> tuple[int, int]:
        """The user's failures and the losses that count against its budgets."""
        if self.earlier is None:
            return self.user_failures, self.lost - self.forgiven
        return self.user_failures - self.earlier.user_failures, self.lost - self.earlier.lost

    def record(self, run: RunId) -> ActionRecord:
        """Its row."""
        return ActionRecord(
            run=run,
            action=self.id,
            parent=None if self.parent is None else self.parent.id,
            task=self.spec.task,
            short_name=self.spec.short_name,
            spec=self.spec_digest,
            phase=self.phase,
            inputs=self.inputs,
            inputs_digest=self.inputs_digest,
            group=self.group,
            parent_failures=self.parent_failures,
            attempts=self.attempts,
            user_failures=self.user_failures,
            lost=self.lost,
            created_at=self.created_at,
            started_at=self.started_at,
            ended_at=self.ended_at,
            outcome_seq=self.outcome_seq,
            outputs=self.outputs,
            failure=self.failure,
            reused_from=self.reused_from,
            kind=self.spec.kind,
            due_at=self.due_at,
            checkpoint=self.checkpoint,
        )


def outcome_of(record: ActionRecord) -> Outcome | None:
    """The outcome that a row tells, or None while there is none."""
    match record.phase:
        case ActionPhase.SUCCEEDED if record.outputs is not None:
            return Succeeded(outputs=record.outputs)
        case ActionPhase.FAILED | ActionPhase.TIMED_OUT if record.failure is not None:
            return Failed(failure=record.failure, outputs=record.outputs)
        case ActionPhase.ABORTED:
            return Aborted(reason="aborted" if record.failure is None else record.failure.message)
        case _:
            return None
