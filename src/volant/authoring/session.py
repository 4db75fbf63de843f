"""Where calls go while a task runs: the seam between user code and whoever executes it.

The product's one `ContextVar` lives here. A worker that runs a single action also sets `ambient`,
because threads that user code starts by itself do not inherit the context.
"""

from collections.abc import Coroutine, Sequence
from contextvars import ContextVar, Token
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

import msgspec

from volant.model.ids import ActionId, RunId, TaskName
from volant.ports.blobs import Blobs

if TYPE_CHECKING:
    from volant.authoring.task import Task
    from volant.authoring.tracing import TracedFunction

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class RunningInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What the running attempt knows about itself."""

    run: RunId
    action: ActionId
    parent: ActionId | None
    task: TaskName
    short_name: str
    attempt: int
    """0 for the first attempt."""
    run_start_time: datetime
    """Aware UTC."""
    mode: str
    raw_data_path: str
    custom_context: dict[str, str] = {}
    data: dict[str, Any] = {}
    """The user's own, mutable; lives as long as the attempt."""


class PendingCall(Protocol[R_co]):
    """A call that was started and not yet waited for."""

    def done(self) -> bool:
        """Whether `result` would not block."""
        ...

    def result(self) -> R_co:
        """Block this thread until the call has its outcome; return or raise it. Cheap when it is there already."""
        ...

    def cancel(self) -> object:
        """Say that nobody waits any more: the action is aborted. Does not block; harmless after the end."""
        ...


class StepResult(NamedTuple):
    """How a traced function ended."""

    value: Any = None
    error: Exception | None = None
    items: Sequence[Any] = ()
    """What a generator gave."""


class Step(Protocol):
    """One call of a traced function."""

    def recorded(self) -> StepResult | None:
        """How it ended in an earlier attempt; None: it has to be executed here. Blocks this thread."""
        ...

    async def recorded_aio(self) -> StepResult | None:
        """As `recorded`, for async code."""
        ...

    @property
    def asked_at(self) -> datetime:
        """The time by the engine's clock, for a function that needs it, once `recorded` was None."""
        ...

    def begin(self) -> None:
        """It is being executed."""
        ...

    def leave(self) -> None:
        """It is not any more, however that came."""
        ...

    def end(self, result: StepResult) -> StepResult:
        """Record how it ended; what a replay would give. Blocks this thread until that is committed."""
        ...

    async def end_aio(self, result: StepResult) -> StepResult:
        """As `end`, for async code."""
        ...


class Session(Protocol):
    """Where calls go while a task runs. One per attempt.

    Arguments have been bound when they arrive here; nothing was sent before that.
    """

    @property
    def info(self) -> RunningInfo: ...

    @property
    def blobs(self) -> Blobs:
        """The store of the run's large values."""
        ...

    @property
    def in_traced_step(self) -> bool:
        """Whether the caller is inside a traced function, where a task cannot be called."""
        ...

    def call(self, task: "Task[..., R]", arguments: dict[str, object], *, group: str | None) -> Coroutine[Any, Any, R]:
        """For async code. The call is submitted when the coroutine first runs."""
        ...

    def call_blocking(self, task: "Task[..., R]", arguments: dict[str, object], *, group: str | None) -> R:
        """For sync code: block this thread."""
        ...

    def start_call(self, task: "Task[..., R]", arguments: dict[str, object], *, group: str | None) -> PendingCall[R]:
        """For sync code that starts several: submit, and return at once."""
        ...

    def wait_for_any(self, calls: Sequence[PendingCall[Any]]) -> None:
        """For sync code: block this thread until one of the calls is done. They were started here, and are not none."""
        ...

    def step(
        self, function: "TracedFunction", args: tuple[Any, ...], kwargs: dict[str, Any], *, group: str | None
    ) -> Step:
        """A call of a traced function begins."""
        ...

    def save_checkpoint(self, data: bytes, file: str | None) -> None:
        """For sync code: block this thread until later attempts have this. *file* is the name of a file with it."""
        ...

    def save_checkpoint_aio(self, data: bytes, file: str | None) -> Coroutine[Any, Any, None]:
        """The same for async code."""
        ...

    def load_checkpoint(self) -> tuple[bytes, str | None] | None:
        """What was saved last, by this attempt or an earlier one, and the file's name if it was one."""
        ...

    def sleep(self, seconds: float, *, group: str | None) -> Coroutine[Any, Any, None]:
        """For async code: return when a timer that the engine keeps has ended."""
        ...

    def sleep_blocking(self, seconds: float, *, group: str | None) -> None:
        """For sync code: block this thread until then."""
        ...


class Grouped:
    """A session inside `volant.group(name)` or a traced function; groups nest, their names are joined by `/`."""

    __slots__ = ("group", "session", "step")

    def __init__(self, session: Session, group: str | None, step: Step | None = None) -> None:
        self.session = session
        self.group = group
        self.step = step


current: ContextVar[Session | Grouped | None] = ContextVar("volant_session", default=None)
"""The session of this context. Set a `Session`; read it with `current_session()`, which looks through groups."""


class Ambient:
    """The worker's only action, for threads that have no context. Set once by a worker process."""

    __slots__ = ("session",)

    def __init__(self) -> None:
        self.session: Session | None = None


ambient = Ambient()


def current_session() -> Session | None:
    """The session that calls go to, or None outside a run."""
    here = current.get()
    if here is None:
        return ambient.session
    return here.session if isinstance(here, Grouped) else here


def current_group() -> str | None:
    """The path of the groups around the caller, such as `train/fold-1`."""
    here = current.get()
    return here.group if isinstance(here, Grouped) else None


def enter_group(name: str) -> Token[Session | Grouped | None] | None:
    """Put calls made from here on into a group; None, and no effect, outside a run."""
    session = current_session()
    if session is None:
        return None
    return current.set(Grouped(session, nested_group(name), current_step()))


def current_step() -> Step | None:
    """The traced function that the caller is inside of, the innermost one."""
    here = current.get()
    return here.step if isinstance(here, Grouped) else None


def enter_step(session: Session, step: Step) -> Session | Grouped | None:
    """From here on the caller is inside a traced function; what `current` is to be set to afterwards."""
    here = current.get()
    current.set(Grouped(session, current_group(), step))
    return here


def nested_group(name: str) -> str:
    """The path of a group of this name, opened here."""
    outer = current_group()
    return name if outer is None else f"{outer}/{name}"
