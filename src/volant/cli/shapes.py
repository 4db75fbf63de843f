"""What `-o json` prints: the one place that says so. Fields are added, never renamed or given another meaning.

Instants are ISO 8601 in UTC, durations are seconds, sizes are bytes, CPU is in thousandths of a core. Attempts are
counted from 1, as in all that people see. Phases are the names of `ActionPhase`. What is not known is null.

=================================  ====================================================================
`run`, `attach`, `resume`,         `RunShape`, with `outputs` or `error`
`rerun`
`run --detach`, `rerun --detach`   `RunShape`
`get runs`                         a list of `RunShape`
`get run`                          `RunTreeShape`
`get action`                       `ActionDetailsShape`
`get io`                           `ValuesShape`
`get logs`                         one `LogLineShape` a line (JSON lines), as they come
`get workers`                      `WorkersShape`
`get environments`                 a list of `EnvironmentShape`
`abort`, `delete`                  a list of `EndedShape`
`engine status`                    `volant.model.control_protocol.EngineStatus`
=================================  ====================================================================

Values in `outputs` and `inputs` of `get io` are read without the user's code: instances of classes are objects of their
fields, members of enums their names, sets lists in a fixed order, tuples lists, bytes base64, dicts whose keys are
neither text nor numbers lists of pairs, nan and infinities text, and what only its own code can read is
`{"type": "module:Class", "bytes": 1234}`.
"""

from datetime import datetime
from typing import Any, TypedDict

from volant.client.waits import describe_wait
from volant.model.control_protocol import ActionSummary, TaskRecord
from volant.model.failures import Failure
from volant.model.records import AttemptRecord, RunRecord
from volant.model.waits import Wait


class ErrorShape(TypedDict):
    """Why something failed."""

    kind: str
    """`user`, `system`, `lost` or `aborted`."""
    code: str
    """The exception's type, or its own `code`."""
    message: str
    task: str
    """Full name of the task that failed."""
    attempts: int
    traceback: str


class WaitShape(TypedDict):
    """Why an action does not run, or does not get on."""

    kind: str
    """A member of `volant.model.waits.WaitKind`."""
    text: str
    """The same for people."""
    ahead: int
    until: datetime | None
    calls: int
    lacks: list[dict[str, Any]]
    """`{"what": "cpu", "wanted": 2000, "free": 1000}`"""


class ActionShape(TypedDict):
    """An action without its values."""

    action: str
    parent: str | None
    task: str
    name: str
    """The task's short name."""
    kind: str
    """`task`, `step` (a traced function) or `timer`."""
    group: str | None
    phase: str
    attempts: int
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    code: str | None
    message: str | None
    """The first line of its failure."""
    waits: WaitShape | None
    reused_from: str | None
    """The run that executed it, if this one took over the outcome."""


class AttemptShape(TypedDict):
    """One try."""

    attempt: int
    phase: str
    pid: int | None
    host: str
    queued_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    seconds: float | None
    cpu_seconds: float | None
    peak_memory: int | None
    exit_status: str | None
    """`exit 3` or `signal 9`, of a process that ended without an outcome."""
    log: str | None
    error: ErrorShape | None


class ActionDetailsShape(ActionShape):
    """All about an action but its values."""

    run: str
    history: list[AttemptShape]
    error: ErrorShape | None
    settings: dict[str, Any]
    """What was decided about it: resources, retries, timeouts, ... (`volant.model.specs.ActionSpec`)"""


class RunShape(TypedDict, total=False):
    """A run. `outputs` only where a result is shown, `error` only where there is one."""

    run: str
    task: str
    phase: str
    mode: str
    created_at: datetime
    ended_at: datetime | None
    labels: dict[str, str]
    outputs: dict[str, Any]
    """`o0`, `o1`, ..., or the names of a NamedTuple."""
    error: ErrorShape


class RunTreeShape(RunShape, total=False):
    """A run with its actions, in the order of their creation."""

    live: bool
    """Whether an engine executes it now."""
    counts: dict[str, int]
    """Of its actions, by phase; phases without any are left out."""
    actions: list[ActionShape]
    complete: bool
    """False when there are more actions; `--all` gives all of them."""


class ValuesShape(TypedDict, total=False):
    """What went into an action and what came out; `outputs` is there when it succeeded."""

    run: str
    action: str
    task: str
    phase: str
    inputs: dict[str, Any]
    outputs: Any


class LogLineShape(TypedDict):
    """A line that an attempt wrote."""

    run: str
    action: str
    name: str
    attempt: int
    line: str


class WorkerShape(TypedDict):
    """A live attempt and its process."""

    pid: int | None
    run: str
    action: str
    task: str
    environment: str
    attempt: int
    phase: str
    mode: str
    started_at: datetime | None
    cpu_seconds: float | None
    memory: int | None
    """Of its process tree, without what it shares."""
    waits: WaitShape | None


class ZygoteShape(TypedDict):
    """A warm interpreter."""

    pid: int
    environment: str
    imported: bool
    """Whether it has imported the user's code, or each fork does."""
    forks: int
    memory: int | None


class WorkersShape(TypedDict):
    workers: list[WorkerShape]
    zygotes: list[ZygoteShape]


class EnvironmentShape(TypedDict):
    """An environment that runs have used."""

    environment: str
    used_at: datetime
    tasks: list[dict[str, Any]]
    """`{"task": "env.main", "name": "main", "used_at": ..., "description": ""}`"""


class EndedShape(TypedDict):
    """What was aborted or deleted."""

    run: str
    action: str | None
    done: bool
    """False when there was nothing to do."""


def run_as_json(run: RunRecord, outputs: dict[str, Any] | None = None) -> dict[str, Any]:
    """A `RunShape`."""
    shown: dict[str, Any] = {
        "run": run.run,
        "task": run.task,
        "phase": run.phase.value,
        "mode": run.mode,
        "created_at": run.created_at,
        "ended_at": run.ended_at,
        "labels": run.labels,
    }
    if outputs is not None:
        shown["outputs"] = outputs
    if run.failure is not None:
        shown["error"] = error_as_json(run.failure)
    return shown


def error_as_json(failure: Failure) -> ErrorShape:
    """An `ErrorShape`."""
    return {
        "kind": failure.kind.value,
        "code": failure.code,
        "message": failure.message,
        "task": failure.task,
        "attempts": failure.attempts,
        "traceback": failure.traceback,
    }


def wait_as_json(wait: Wait | None) -> WaitShape | None:
    """A `WaitShape`."""
    if wait is None:
        return None
    return {
        "kind": wait.kind.value,
        "text": describe_wait(wait),
        "ahead": wait.ahead,
        "until": wait.until,
        "calls": wait.calls,
        "lacks": [{"what": each.what.value, "wanted": each.wanted, "free": each.free} for each in wait.lacks],
    }


def action_as_json(action: ActionSummary) -> ActionShape:
    """An `ActionShape`."""
    return {
        "action": action.action,
        "parent": action.parent,
        "task": action.task,
        "name": action.short_name,
        "kind": action.kind.value,
        "group": action.group,
        "phase": action.phase.value,
        "attempts": action.attempts,
        "created_at": action.created_at,
        "started_at": action.started_at,
        "ended_at": action.ended_at,
        "code": action.code or None,
        "message": action.message or None,
        "waits": wait_as_json(action.wait),
        "reused_from": action.reused_from,
    }


def attempt_as_json(attempt: AttemptRecord, log: str | None) -> AttemptShape:
    """An `AttemptShape`."""
    took = None
    if attempt.started_at is not None and attempt.ended_at is not None:
        took = (attempt.ended_at - attempt.started_at).total_seconds()
    return {
        "attempt": attempt.attempt + 1,
        "phase": attempt.phase.value,
        "pid": attempt.pid,
        "host": attempt.host,
        "queued_at": attempt.queued_at,
        "started_at": attempt.started_at,
        "ended_at": attempt.ended_at,
        "seconds": took,
        "cpu_seconds": attempt.cpu_seconds,
        "peak_memory": attempt.peak_memory,
        "exit_status": attempt.exit_status,
        "log": log,
        "error": None if attempt.failure is None else error_as_json(attempt.failure),
    }


def environments_as_json(tasks: list[TaskRecord]) -> list[EnvironmentShape]:
    """`EnvironmentShape`s, the one that was used last first, of tasks in the same order."""
    found: dict[str, EnvironmentShape] = {}
    for task in tasks:
        settings = task.settings
        shape = found.setdefault(
            settings.environment, {"environment": settings.environment, "used_at": task.used_at, "tasks": []}
        )
        shape["tasks"].append(
            {
                "task": settings.task,
                "name": settings.short_name,
                "used_at": task.used_at,
                "description": settings.description,
            }
        )
    return list(found.values())
