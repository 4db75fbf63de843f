"""Records as rows: the columns that queries need, and the rest as one body.

A column is the only place of what it holds. A body is a msgpack array whose positions are the fields of a `*Body`
class below. The journal outlives releases, so these classes only grow at their end, each new field with a default;
codes are never used for something else. Instants are integer microseconds since 1970 UTC. Hex text is kept as bytes.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from volant.model.failures import Failure
from volant.model.ids import ActionId, RunId, SpecDigest
from volant.model.payloads import Blob, Inline, SavedCheckpoint
from volant.model.phases import ActionPhase
from volant.model.records import ActionRecord, AttemptRecord, Change, ChangeKind, RunRecord, SpecRecord
from volant.model.specs import ActionKind

PHASE_CODES: Mapping[ActionPhase, int] = {
    ActionPhase.QUEUED: 1,
    ActionPhase.WAITING_FOR_RESOURCES: 2,
    ActionPhase.INITIALIZING: 3,
    ActionPhase.RUNNING: 4,
    ActionPhase.PAUSED: 5,
    ActionPhase.SUCCEEDED: 11,
    ActionPhase.FAILED: 12,
    ActionPhase.ABORTED: 13,
    ActionPhase.TIMED_OUT: 14,
}
FIRST_FINAL_CODE = 11
"""Phases that are final have this code or a greater one."""
PHASES = {code: phase for phase, code in PHASE_CODES.items()}

KIND_CODES: Mapping[ChangeKind, int] = {
    ChangeKind.RUN_CREATED: 1,
    ChangeKind.RUN_ENDED: 2,
    ChangeKind.ACTION_CREATED: 3,
    ChangeKind.ACTION_ENDED: 4,
    ChangeKind.ATTEMPT_STARTED: 5,
    ChangeKind.ATTEMPT_ENDED: 6,
    ChangeKind.WAITING: 7,
    ChangeKind.WARNING: 8,
    ChangeKind.RUN_RESUMED: 9,
}
_KINDS = {code: kind for kind, code in KIND_CODES.items()}

ACTION_KIND_CODES: Mapping[ActionKind, int] = {ActionKind.TASK: 0, ActionKind.STEP: 1, ActionKind.TIMER: 2}
_ACTION_KINDS = {code: kind for kind, code in ACTION_KIND_CODES.items()}

Row = tuple[Any, ...]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_encode = msgspec.msgpack.Encoder().encode


class RunBody(msgspec.Struct, frozen=True, array_like=True):
    root: bytes
    mode: str
    labels: dict[str, str]
    annotations: dict[str, str]
    options: bytes
    bundle: bytes
    failure: Failure | None
    blobs: str = ""


class ActionBody(msgspec.Struct, frozen=True, array_like=True):
    short_name: str
    spec: bytes
    inputs: Inline | Blob
    inputs_digest: bytes | None
    group: str | None
    parent_failures: int
    attempts: int
    user_failures: int
    lost: int
    started_at: int | None
    outputs: Inline | Blob | None
    failure: Failure | None
    reused_from: str | None = None
    kind: int = 0
    due_at: int | None = None
    checkpoint: SavedCheckpoint | None = None


class AttemptBody(msgspec.Struct, frozen=True, array_like=True):
    phase: int
    launcher: str
    host: str
    pid: int | None
    queued_at: int
    started_at: int | None
    ended_at: int | None
    exit_status: str | None
    cpu_seconds: float | None
    peak_memory: int | None
    log: str | None
    failure: Failure | None


class ChangeBody(msgspec.Struct, frozen=True, array_like=True):
    kind: int
    at: int
    phase: int
    action: bytes | None
    parent: bytes | None
    name: str
    attempt: int | None
    message: str
    group: str | None = None


_run_body = msgspec.msgpack.Decoder(RunBody).decode
_action_body = msgspec.msgpack.Decoder(ActionBody).decode
_attempt_body = msgspec.msgpack.Decoder(AttemptBody).decode
_change_body = msgspec.msgpack.Decoder(ChangeBody).decode


def microseconds(at: datetime) -> int:
    """An aware instant as microseconds since 1970 UTC; a naive one is a `TypeError`."""
    since = at - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def instant(at: int) -> datetime:
    """The aware UTC instant of `microseconds`."""
    return _EPOCH + timedelta(microseconds=at)


def action_bytes(action: ActionId) -> bytes:
    """The 16 bytes of an action's id; what is not 32 lower-case hex digits is a `ValueError`."""
    try:
        raw = bytes.fromhex(action)
    except ValueError:
        raw = b""
    if len(raw) != 16 or raw.hex() != action:
        raise ValueError(f"action id {action!r}: wanted 32 lower-case hex digits")
    return raw


def ids_between(prefix: str) -> dict[str, bytes] | None:
    """The `lowest` and the `highest` id that begin so, as statements want them; None where none can."""
    try:
        lowest, highest = (action_bytes(ActionId(prefix.ljust(32, digit))) for digit in "0f")
    except ValueError:
        return None
    return {"lowest": lowest, "highest": highest}


class ActionBytes(dict[ActionId, bytes]):
    """`action_bytes` of the ids in one group of rows, where each occurs several times."""

    def __missing__(self, action: ActionId) -> bytes:
        raw = self[action] = action_bytes(action)
        return raw


def run_row(run: RunRecord) -> Row:
    """Columns `run, task, phase, created_at, ended_at, owner, token, body`."""
    body = RunBody(
        action_bytes(run.root),
        run.mode,
        run.labels,
        run.annotations,
        run.options,
        _pack(run.bundle),
        run.failure,
        run.blobs,
    )
    return (
        run.run,
        run.task,
        PHASE_CODES[run.phase],
        microseconds(run.created_at),
        _optional(run.ended_at),
        run.owner,
        run.token,
        _encode(body),
    )


def run_record(row: Row) -> RunRecord:
    """The record of a `run_row`."""
    run, task, phase, created_at, ended_at, owner, token, blob = row
    body = _run_body(blob)
    return RunRecord(
        run=RunId(run),
        task=task,
        root=ActionId(body.root.hex()),
        phase=PHASES[phase],
        created_at=instant(created_at),
        ended_at=_optional_instant(ended_at),
        mode=body.mode,
        labels=body.labels,
        annotations=body.annotations,
        options=body.options,
        bundle=_unpack(body.bundle),
        owner=owner,
        token=token,
        failure=body.failure,
        blobs=body.blobs,
    )


def action_row(action: ActionRecord, ids: ActionBytes) -> Row:
    """Columns `action, parent, task, phase, created_at, ended_at, outcome_seq, body`."""
    digest = action.inputs_digest
    body = ActionBody(
        action.short_name,
        _pack(action.spec),
        action.inputs,
        None if digest is None else _pack(digest),
        action.group,
        action.parent_failures,
        action.attempts,
        action.user_failures,
        action.lost,
        _optional(action.started_at),
        action.outputs,
        action.failure,
        action.reused_from,
        ACTION_KIND_CODES[action.kind],
        _optional(action.due_at),
        action.checkpoint,
    )
    return (
        ids[action.action],
        None if action.parent is None else ids[action.parent],
        action.task,
        PHASE_CODES[action.phase],
        microseconds(action.created_at),
        _optional(action.ended_at),
        action.outcome_seq,
        _encode(body),
    )


def action_record(run: RunId, row: Row) -> ActionRecord:
    """The record of an `action_row`."""
    action, parent, task, phase, created_at, ended_at, outcome_seq, blob = row
    body = _action_body(blob)
    digest = body.inputs_digest
    return ActionRecord(
        run=run,
        action=ActionId(action.hex()),
        parent=None if parent is None else ActionId(parent.hex()),
        task=task,
        short_name=body.short_name,
        spec=SpecDigest(_unpack(body.spec)),
        phase=PHASES[phase],
        inputs=body.inputs,
        inputs_digest=None if digest is None else _unpack(digest),
        group=body.group,
        parent_failures=body.parent_failures,
        attempts=body.attempts,
        user_failures=body.user_failures,
        lost=body.lost,
        created_at=instant(created_at),
        started_at=_optional_instant(body.started_at),
        ended_at=_optional_instant(ended_at),
        outcome_seq=outcome_seq,
        outputs=body.outputs,
        failure=body.failure,
        reused_from=None if body.reused_from is None else RunId(body.reused_from),
        kind=_ACTION_KINDS[body.kind],
        due_at=_optional_instant(body.due_at),
        checkpoint=body.checkpoint,
    )


def attempt_row(attempt: AttemptRecord) -> Row:
    """Columns `attempt, body`."""
    body = AttemptBody(
        PHASE_CODES[attempt.phase],
        attempt.launcher,
        attempt.host,
        attempt.pid,
        microseconds(attempt.queued_at),
        _optional(attempt.started_at),
        _optional(attempt.ended_at),
        attempt.exit_status,
        attempt.cpu_seconds,
        attempt.peak_memory,
        attempt.log,
        attempt.failure,
    )
    return (attempt.attempt, _encode(body))


def attempt_record(run: RunId, action: ActionId, row: Row) -> AttemptRecord:
    """The record of an `attempt_row`."""
    attempt, blob = row
    body = _attempt_body(blob)
    return AttemptRecord(
        run=run,
        action=action,
        attempt=attempt,
        phase=PHASES[body.phase],
        launcher=body.launcher,
        host=body.host,
        pid=body.pid,
        queued_at=instant(body.queued_at),
        started_at=_optional_instant(body.started_at),
        ended_at=_optional_instant(body.ended_at),
        exit_status=body.exit_status,
        cpu_seconds=body.cpu_seconds,
        peak_memory=body.peak_memory,
        log=body.log,
        failure=body.failure,
    )


def change_body(change: Change, ids: ActionBytes) -> bytes:
    """A change without its run and its `seq`."""
    action, parent = change.action, change.parent
    return _encode(
        ChangeBody(
            KIND_CODES[change.kind],
            microseconds(change.at),
            PHASE_CODES[change.phase],
            None if action is None else ids[action],
            None if parent is None else ids[parent],
            change.name,
            change.attempt,
            change.message,
            change.group,
        )
    )


def change_record(run: RunId, seq: int, blob: bytes) -> Change:
    """The record of a `change_body`."""
    body = _change_body(blob)
    return Change(
        run=run,
        seq=seq,
        kind=_KINDS[body.kind],
        at=instant(body.at),
        phase=PHASES[body.phase],
        action=None if body.action is None else ActionId(body.action.hex()),
        parent=None if body.parent is None else ActionId(body.parent.hex()),
        name=body.name,
        attempt=body.attempt,
        message=body.message,
        group=body.group,
    )


def spec_row(spec: SpecRecord) -> Row:
    """Columns `spec, body, used_at`."""
    return spec.spec, spec.body, microseconds(spec.used_at)


def spec_record(row: Row) -> SpecRecord:
    """The record of a `spec_row`."""
    spec, body, used_at = row
    return SpecRecord(spec=SpecDigest(spec), body=body, used_at=instant(used_at))


def _optional(at: datetime | None) -> int | None:
    return None if at is None else microseconds(at)


def _optional_instant(at: int | None) -> datetime | None:
    return None if at is None else instant(at)


def _pack(text: str) -> bytes:
    """Text that is mostly a hex digest, in half the bytes; the first one says how to read the others."""
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        return b"t" + text.encode()
    return b"h" + raw if raw.hex() == text else b"t" + text.encode()


def _unpack(packed: bytes) -> str:
    return packed[1:].hex() if packed[:1] == b"h" else packed[1:].decode()
