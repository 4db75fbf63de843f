"""The live part of a run: what has not ended, or has ended and was not told yet.

These objects change; they belong to one `RunMachine` and never leave it.
"""

from datetime import datetime
from enum import Enum, auto

import msgspec

from volant.decide.replay import Replay
from volant.model.failures import Failure
from volant.model.ids import ActionId, AttemptKey, CallId, RunId, SpecDigest
from volant.model.payloads import Payload
from volant.model.phases import ActionPhase
from volant.model.records import ActionRecord, AttemptRecord
from volant.model.specs import ActionSpec
from volant.model.worker_protocol import Aborted, Failed, Outcome, Succeeded


class Stage(Enum):
    """Where a live action stands, finer than its phase."""

    BACKING_OFF = auto()
    """It waits for the time of its next attempt."""
    QUEUED = auto()
    """It waits for a place."""
    STARTING = auto()
    """It was admitted; there is no process yet."""
    RUNNING = auto()
    FINISHED = auto()
    """The worker has said its last word; its process is not gone yet."""
    ENDING = auto()
    """Its process tree is being killed."""
    HELD = auto()
    """It was aborted in an earlier life of its parent, which asks again: it waits to be cancelled again."""
    ENDED = auto()
    """It has its outcome."""


class Earlier(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a child that an earlier attempt of its parent had."""

    action: ActionId
    phase: ActionPhase
    seq: int
    """Order of its outcome among those of the run."""
    parent_failures: int
    attempts: int
    created_at: datetime


class LiveAttempt:
    """The attempt that an action has now."""

    __slots__ = (
        "calls",
        "cpu_seconds",
        "earlier",
        "ended_at",
        "exit_status",
        "failure",
        "held",
        "key",
        "log",
        "number",
        "peak_memory",
        "phase",
        "pid",
        "queued_at",
        "replay",
        "started_at",
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
        self.waits = False
        """It said that it has nothing to do."""
        self.held: dict[CallId, LiveAction] = {}
        """Calls that an earlier attempt of the parent cancelled; see `Stage.HELD`."""
        self.replay: Replay | None = None
        self.earlier: dict[ActionId, Earlier] = {}
        """Children of earlier attempts whose outcome is not replayed: they are executed again when asked for."""

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
        "abort_reason",
        "attempt",
        "attempts",
        "callers",
        "children",
        "created_at",
        "depth",
        "ended_at",
        "failure",
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
        self.started_at: datetime | None = None
        self.ended_at: datetime | None = None
        self.outcome_seq: int | None = None
        self.outputs: Payload | None = None
        self.failure: Failure | None = None
        self.attempt: LiveAttempt | None = None
        self.callers: list[tuple[AttemptKey, CallId]] = []
        self.children: dict[ActionId, LiveAction] = {}
        self.abort_reason: str | None = None
        self.not_before: datetime | None = None
        """When the next attempt may start, after a failure."""

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
        )


def outcome_of(record: ActionRecord) -> Outcome | None:
    """The outcome that a row tells, or None while there is none."""
    match record.phase:
        case ActionPhase.SUCCEEDED if record.outputs is not None:
            return Succeeded(outputs=record.outputs)
        case ActionPhase.FAILED | ActionPhase.TIMED_OUT if record.failure is not None:
            return Failed(failure=record.failure)
        case ActionPhase.ABORTED:
            return Aborted(reason="aborted" if record.failure is None else record.failure.message)
        case _:
            return None
