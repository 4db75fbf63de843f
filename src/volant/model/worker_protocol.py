"""What engine, zygotes and workers say to one another. Version 2.

Engine to worker: `StartAttempt`, then `ChildEnded`, `CallRefused` and `Acknowledged`; `Accepted` after the last word.
Worker to engine: `SpecKnown` before the first `SubmitCall` or `StepEnded` that names it, `CancelCall`, `AskStep`,
`SaveCheckpoint`, `Waiting` and `Working` for the lending of CPU, and at the end `AttemptFinished`.
Engine to zygote: `PrepareZygote` once, then `ForkWorker` (with one end of a socket pair) and `EndWorker`.
Zygote to engine: `ZygoteReady` or `ZygoteFailed`, then `WorkerForked` and `WorkerExited`.

Workers and zygotes outlive their engine. What they say to the next one first is `ZygoteReturned` or `WorkerReturned`;
a worker that was told to `Resync` says `Rejoined` and again all that has no answer, and then goes on as before.

Messages are msgpack arrays in length-prefixed frames (`volant.kit.framing`), several per write.
"""

from datetime import datetime

import msgspec

from volant.model.code import CodeSource
from volant.model.failures import Failure
from volant.model.ids import ActionId, AttemptKey, CallId, RunId, SpecDigest
from volant.model.payloads import Payload, SavedCheckpoint

WORKER_PROTOCOL_VERSION = 2


class Succeeded(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="ok"):
    """The function returned."""

    outputs: Payload


class Failed(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="failed"):
    """The function raised, or its process ended."""

    failure: Failure
    outputs: Payload | None = None
    """What a traced generator had given before."""


class Aborted(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="aborted"):
    """Someone asked for the end."""

    reason: str


Outcome = Succeeded | Failed | Aborted


class RunContext(msgspec.Struct, frozen=True, kw_only=True):
    """What every attempt of a run is told about it."""

    run: RunId
    mode: str
    created_at: datetime
    raw_data_path: str
    custom_context: dict[str, str] = {}
    home: str
    """The folder, for logs and local blobs."""
    blobs: str
    """URL of the blob store."""
    inline_payload_bytes: int = 64 * 1024
    """Larger payloads go to the blob store."""
    warned: tuple[str, ...] = ()
    takes_over: bool = False
    """Whether outcomes may be taken over from another run: then first attempts ask for steps too."""


class StartAttempt(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="start"):
    """Run the task of this action."""

    attempt_key: AttemptKey
    context: RunContext
    action: ActionId
    parent: ActionId | None
    attempt: int
    spec: SpecDigest
    spec_body: bytes
    inputs: Payload
    group: str | None = None
    checkpoint: SavedCheckpoint | None = None
    """What earlier attempts saved last."""


class ChildEnded(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="child"):
    """A call has its outcome; it is committed. Told in the order of `seq`."""

    call: CallId
    action: ActionId
    seq: int
    outcome: Outcome
    attempts: int = 1


class CallRefused(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="refused"):
    """A call cannot be executed; nothing was written. *error* is a class name of `volant.model.errors`."""

    call: CallId
    error: str
    message: str
    hint: str | None = None


class Acknowledged(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="acknowledged"):
    """To `AskStep`: nothing is recorded, execute it. To `SaveCheckpoint`: it is committed."""

    call: CallId
    at: datetime
    """The time by the engine's clock."""


class EndAttempt(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="end"):
    """Inline only: cancel the running attempt, since there is no process to kill."""

    attempt_key: AttemptKey


class Accepted(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="accepted"):
    """The attempt's last word is committed, or of no interest any more: its process may leave."""


class Resync(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="resync"):
    """This engine goes on with the attempt: say what may have been lost with the last one."""


class SpecKnown(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="spec"):
    """The body of a spec that later calls name."""

    spec: SpecDigest
    body: bytes


class SubmitCall(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="call"):
    """User code called a task. The action's id already says who asks for what, how often."""

    attempt_key: AttemptKey
    call: CallId
    action: ActionId
    spec: SpecDigest
    inputs: Payload
    inputs_digest: str | None
    group: str | None = None
    delay: float | None = None
    """Of a timer: seconds from now, at least 0. The engine keeps it; nothing is executed."""


class CancelCall(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="cancel"):
    """The caller no longer waits. Answered by `ChildEnded` once the abort is committed."""

    attempt_key: AttemptKey
    call: CallId


class AskStep(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="ask step"):
    """An attempt is about to execute a traced function, or to ask for the time.

    The first attempt of an action asks only for the time, and where its run takes over outcomes.

    Answered by `ChildEnded` when an earlier attempt did, else by `Acknowledged`.
    """

    attempt_key: AttemptKey
    call: CallId
    action: ActionId


class StepEnded(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="step"):
    """A traced function has ended. Answered by `ChildEnded` once that is committed; may be sent again until then."""

    attempt_key: AttemptKey
    call: CallId
    action: ActionId
    spec: SpecDigest
    inputs: Payload
    inputs_digest: str | None
    outcome: Succeeded | Failed
    seconds: float
    """How long it took."""
    group: str | None = None


class SaveCheckpoint(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="checkpoint"):
    """Later attempts of the action are to have this; it replaces what was saved before.

    Answered by `Acknowledged` once it is committed; may be sent again until then.
    """

    attempt_key: AttemptKey
    call: CallId
    checkpoint: SavedCheckpoint


class Waiting(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="waiting"):
    """The attempt has nothing to do until something arrives; it lends its CPU.

    *told* is the number of `ChildEnded` and `CallRefused` it has taken in, so that an outcome that is
    already on its way counts as a wake-up.
    """

    attempt_key: AttemptKey
    told: int
    for_engine: bool = False
    """Nothing but an answer of the engine's can wake it: no timer, descriptor, thread, process or traced function of
    its own is under way, so it may be put away."""


class Working(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="working"):
    """The attempt woke up by itself (a timer, a socket) and takes its CPU again."""

    attempt_key: AttemptKey


class AttemptFinished(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="finished"):
    """The last word of an attempt."""

    attempt_key: AttemptKey
    outcome: Outcome


class Warned(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="warned"):
    """Something the user should hear once per run."""

    attempt_key: AttemptKey
    message: str


class Rejoined(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="rejoined"):
    """The answer to `Resync`. What has no answer is said again right after it."""

    attempt_key: AttemptKey
    told: int
    """As in `Waiting`."""
    asked: tuple[ActionId, ...]
    """Actions that it called and has no answer of."""


Answer = ChildEnded | CallRefused | Acknowledged
"""To a call of the worker's, by its number."""
EngineToWorker = StartAttempt | ChildEnded | CallRefused | Acknowledged | EndAttempt | Accepted | Resync
WorkerToEngine = (
    SpecKnown
    | SubmitCall
    | CancelCall
    | AskStep
    | StepEnded
    | SaveCheckpoint
    | Waiting
    | Working
    | AttemptFinished
    | Warned
    | Rejoined
)


class Rejoining(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """How the processes of a zygote find the engine that comes after theirs."""

    home: str
    """A folder. When it is gone no engine will come."""
    socket: str
    """Absolute path of the socket on which engines of this home wait for who returns."""
    window: float
    """Seconds that the zygote waits; then it ends its workers and itself."""
    environment: str
    """As in `AttemptOrder`: the next engine may fork attempts of the same environment from it."""
    label: str


class PrepareZygote(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="prepare"):
    """Import the user's code."""

    code: CodeSource
    modules: tuple[str, ...] = ()
    """Modules to import before the first fork, beside those of *code*."""
    blobs: str = ""
    """URL of the blob store, where the archive of *code* is."""
    rejoining: Rejoining | None = None
    """None: it and its workers end with the engine, and workers leave without waiting for `Accepted`."""


class ForkWorker(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="fork"):
    """Fork a worker; its end of a socket pair comes with this message."""

    attempt_key: AttemptKey
    log: str
    """Absolute path of the file that captures its output."""
    start: bytes
    """The encoded `StartAttempt`."""


class EndWorker(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="end worker"):
    """End the whole process tree of an attempt: SIGTERM, the grace period, SIGKILL."""

    attempt_key: AttemptKey
    grace: float
    """Seconds; 0 kills at once."""


class LeaveZygote(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="leave"):
    """End; running workers are killed."""


EngineToZygote = PrepareZygote | ForkWorker | EndWorker | LeaveZygote


class ZygoteReady(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="ready"):
    """The user's code is imported, or each fork will import it."""

    imported: bool
    warning: str | None = None


class ZygoteFailed(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="zygote failed"):
    """The user's code cannot be imported."""

    failure: Failure


class WorkerForked(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="forked"):
    """The attempt has a process."""

    attempt_key: AttemptKey
    pid: int


class WorkerExited(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="exited"):
    """The attempt's process is gone, and with it every descendant."""

    attempt_key: AttemptKey
    exit_code: int | None
    signal: int | None
    cpu_seconds: float
    peak_memory: int
    """Bytes, of the largest process of the tree."""
    not_forked: int | None = None
    """The number of the system's error, if it did not give the attempt a process."""


ZygoteToEngine = ZygoteReady | ZygoteFailed | WorkerForked | WorkerExited


class ForkedAttempt(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """An attempt for which a zygote forked a worker."""

    attempt_key: AttemptKey
    run: RunId
    action: ActionId
    attempt: int
    pid: int


class ForkGone(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One whose process, with every descendant, is gone; the last engine may not have heard of it."""

    fork: ForkedAttempt
    ended: WorkerExited


class ZygoteReturned(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="zygote returned"):
    """A zygote whose engine is gone offers itself and its forks to the next one."""

    protocol: int
    pid: int
    rejoining: Rejoining
    imported: bool
    warning: str | None
    forks: tuple[ForkedAttempt, ...]
    gone: tuple[ForkGone, ...]


class WorkerReturned(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="worker returned"):
    """A worker whose engine is gone waits for the next one to say `Resync`."""

    protocol: int
    pid: int
    attempt_key: AttemptKey


Returned = ZygoteReturned | WorkerReturned
"""The first frame on the socket for those who return."""
