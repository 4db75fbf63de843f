"""What the journal keeps: state rows for runs, actions and attempts, and the change feed.

A row is written whole; the newest one wins. The engine that owns a run is the only writer of
its rows, so a row never has to be merged.
"""

from datetime import UTC, datetime
from enum import StrEnum

import msgspec

from volant.model.failures import Failure
from volant.model.ids import ActionId, RunId, SpecDigest
from volant.model.payloads import Payload, SavedCheckpoint
from volant.model.phases import ActionPhase
from volant.model.specs import ActionKind


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of all records."""


class RunRecord(Record, frozen=True, kw_only=True, omit_defaults=True):
    """One submission of a root task."""

    run: RunId
    task: str
    root: ActionId
    phase: ActionPhase
    created_at: datetime
    ended_at: datetime | None = None
    mode: str = "local"
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    options: bytes = b""
    """The encoded submission, so that the run can be resumed. No environment variables, no secrets."""
    bundle: str = ""
    """Digest of the code it started with."""
    owner: str = ""
    """The engine that owns it; with `token` the fence on databases that several engines share."""
    token: int = 0
    failure: Failure | None = None
    blobs: str = ""
    """URL of the store with its large values; empty in journals of before."""


class ActionRecord(Record, frozen=True, kw_only=True, omit_defaults=True):
    """One call of a task inside a run."""

    run: RunId
    action: ActionId
    parent: ActionId | None
    task: str
    short_name: str
    spec: SpecDigest
    phase: ActionPhase
    inputs: Payload
    inputs_digest: str | None = None
    """None when the inputs have no stable hash."""
    group: str | None = None
    parent_failures: int = 0
    """How many times the parent had failed by itself when it last asked for this action. A recorded failure
    is replayed only to a parent that has not failed since; see DESIGN.md, section 5."""
    attempts: int = 0
    """Attempts started so far."""
    user_failures: int = 0
    lost: int = 0
    created_at: datetime
    started_at: datetime | None = None
    """Start of the newest attempt's user code."""
    ended_at: datetime | None = None
    outcome_seq: int | None = None
    """Position of the outcome in the run's change feed: the order in which outcomes are replayed."""
    outputs: Payload | None = None
    failure: Failure | None = None
    reused_from: RunId | None = None
    """The run that executed it: this one took over the outcome that is recorded there."""
    kind: ActionKind = ActionKind.TASK
    due_at: datetime | None = None
    """When a timer ends."""
    checkpoint: SavedCheckpoint | None = None
    """What it saved last; dropped when it succeeds."""


class AttemptRecord(Record, frozen=True, kw_only=True, omit_defaults=True):
    """One try at an action."""

    run: RunId
    action: ActionId
    attempt: int
    """From 0."""
    phase: ActionPhase
    launcher: str = "local"
    host: str = ""
    pid: int | None = None
    queued_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    exit_status: str | None = None
    """`exit 3`, `signal 9`, or None when it ended with an outcome."""
    cpu_seconds: float | None = None
    peak_memory: int | None = None
    """Bytes."""
    log: str | None = None
    """Path of the captured output, relative to the home."""
    failure: Failure | None = None


class ChangeKind(StrEnum):
    """What happened; the past tense of the engine's life."""

    RUN_CREATED = "run created"
    RUN_ENDED = "run ended"
    ACTION_CREATED = "action created"
    ACTION_ENDED = "action ended"
    ATTEMPT_STARTED = "attempt started"
    ATTEMPT_ENDED = "attempt ended"
    WAITING = "waiting"
    WARNING = "warning"
    RUN_RESUMED = "run resumed"


class Change(Record, frozen=True, kw_only=True, omit_defaults=True):
    """One entry of a run's change feed. `seq` counts from 1 without gaps in each run."""

    run: RunId
    seq: int
    kind: ChangeKind
    at: datetime
    phase: ActionPhase
    action: ActionId | None = None
    parent: ActionId | None = None
    name: str = ""
    """Short name of the task."""
    attempt: int | None = None
    message: str = ""
    group: str | None = None
    """Of an action that was created: the `volant.group` in which it was called."""


class SpecRecord(Record, frozen=True, kw_only=True, omit_defaults=True):
    """The body of a spec, by digest."""

    spec: SpecDigest
    body: bytes
    """msgpack of `ActionSpec`."""
    used_at: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    """When a run last began to use it."""


class Batch(Record, frozen=True, kw_only=True, omit_defaults=True):
    """What is committed together. Rows of one kind for one thing: the last one wins."""

    runs: tuple[RunRecord, ...] = ()
    actions: tuple[ActionRecord, ...] = ()
    attempts: tuple[AttemptRecord, ...] = ()
    changes: tuple[Change, ...] = ()
    specs: tuple[SpecRecord, ...] = ()
