"""`volant.map`: one task over many inputs, results in the order of the inputs.

Sync callers get a blocking iterator, async callers `map.aio`. Both start calls ahead of the result
that is waited for, at most `concurrency` of them when it is not 0, and cancel what is left when the
iterator is closed.
"""

import asyncio
import functools
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, Protocol, Required, TypedDict, TypeVar, Unpack, cast, overload

from volant.authoring.session import PendingCall, Session, current_group, current_session, nested_group
from volant.authoring.task import Task, in_running_loop
from volant.authoring.validation import (
    filled_text,
    flag,
    known_keywords,
    shown,
    unknown_parameter,
    whole_number,
)
from volant.model.errors import ArgumentError, SyncTaskCallInAsyncContextError

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
A_contra = TypeVar("A_contra", contravariant=True)
B_contra = TypeVar("B_contra", contravariant=True)
C_contra = TypeVar("C_contra", contravariant=True)


_Arguments = tuple[tuple[Any, ...], dict[str, Any]]
_OPTIONS = ("group_name", "concurrency", "return_exceptions")
PartialOfAsync = functools.partial[Coroutine[object, None, R]]


class OfOne(Protocol[A_contra, R_co]):
    """A task that can be called with one input."""

    def aio(self, a: A_contra, /) -> Coroutine[object, None, R_co]: ...


class OfTwo(Protocol[A_contra, B_contra, R_co]):
    """A task that can be called with two inputs."""

    def aio(self, a: A_contra, b: B_contra, /) -> Coroutine[object, None, R_co]: ...


class OfThree(Protocol[A_contra, B_contra, C_contra, R_co]):
    """A task that can be called with three inputs."""

    def aio(self, a: A_contra, b: B_contra, c: C_contra, /) -> Coroutine[object, None, R_co]: ...


class MapOptions(TypedDict, total=False):
    """What `volant.map` accepts beside the task and its inputs."""

    group_name: str | None
    """Shows the calls together under this name."""
    concurrency: int
    """How many calls may be under way at once; 0 is no bound."""
    return_exceptions: bool
    """Whether a failed call yields its exception (the default) instead of raising it."""


class RaisingMapOptions(TypedDict, total=False):
    """The same where failed calls raise."""

    group_name: str | None
    concurrency: int
    return_exceptions: Required[Literal[False]]


class Map:
    """The type of `volant.map`."""

    @overload
    def __call__(self, task: OfOne[A, R], a: Iterable[A], /, **options: Unpack[RaisingMapOptions]) -> Iterator[R]: ...

    @overload
    def __call__(
        self, task: OfOne[A, R], a: Iterable[A], /, **options: Unpack[MapOptions]
    ) -> Iterator[R | Exception]: ...

    @overload
    def __call__(
        self, task: OfTwo[A, B, R], a: Iterable[A], b: Iterable[B], /, **options: Unpack[RaisingMapOptions]
    ) -> Iterator[R]: ...

    @overload
    def __call__(
        self, task: OfTwo[A, B, R], a: Iterable[A], b: Iterable[B], /, **options: Unpack[MapOptions]
    ) -> Iterator[R | Exception]: ...

    @overload
    def __call__(
        self,
        task: OfThree[A, B, C, R],
        a: Iterable[A],
        b: Iterable[B],
        c: Iterable[C],
        /,
        **options: Unpack[RaisingMapOptions],
    ) -> Iterator[R]: ...

    @overload
    def __call__(
        self,
        task: OfThree[A, B, C, R],
        a: Iterable[A],
        b: Iterable[B],
        c: Iterable[C],
        /,
        **options: Unpack[MapOptions],
    ) -> Iterator[R | Exception]: ...

    @overload
    def __call__(
        self, task: PartialOfAsync[R], /, *inputs: Iterable[Any], **options: Unpack[RaisingMapOptions]
    ) -> Iterator[R]: ...

    @overload
    def __call__(
        self, task: PartialOfAsync[R], /, *inputs: Iterable[Any], **options: Unpack[MapOptions]
    ) -> Iterator[R | Exception]: ...

    @overload
    def __call__(
        self, task: functools.partial[R], /, *inputs: Iterable[Any], **options: Unpack[RaisingMapOptions]
    ) -> Iterator[R]: ...

    @overload
    def __call__(
        self, task: functools.partial[R], /, *inputs: Iterable[Any], **options: Unpack[MapOptions]
    ) -> Iterator[R | Exception]: ...

    def __call__(self, task: Any, /, *inputs: Iterable[Any], **options: Any) -> Iterator[Any]:
        """Call *task* once for each set of inputs, and yield the results in order.

        Like the builtin `map` it ends with the shortest of the inputs. Nothing is started before the first
        result is asked for; closing the iterator aborts the calls that are still under way.

        Args:
            task: a task, or a `functools.partial` of one.
            inputs: one iterable for each argument.
            options: see `MapOptions`.

        Raises:
            ArgumentError: not a task, no inputs, or inputs that do not bind to its parameters.
            SyncTaskCallInAsyncContextError: called from async code; `map.aio` is the way.
        """
        plan = _plan(task, inputs, options)
        blocks = plan.session is not None or plan.task.interface.is_async
        if blocks and in_running_loop():
            message = f"volant.map of {plan.task.name!r} is called from async code, where it would block the event loop"
            raise SyncTaskCallInAsyncContextError(message, hint="use `async for ... in volant.map.aio(...)` instead")
        return _without_run(plan) if plan.session is None else _in_order(plan, plan.session)

    @overload
    def aio(self, task: OfOne[A, R], a: Iterable[A], /, **options: Unpack[RaisingMapOptions]) -> AsyncIterator[R]: ...

    @overload
    def aio(
        self, task: OfOne[A, R], a: Iterable[A], /, **options: Unpack[MapOptions]
    ) -> AsyncIterator[R | Exception]: ...

    @overload
    def aio(
        self, task: OfTwo[A, B, R], a: Iterable[A], b: Iterable[B], /, **options: Unpack[RaisingMapOptions]
    ) -> AsyncIterator[R]: ...

    @overload
    def aio(
        self, task: OfTwo[A, B, R], a: Iterable[A], b: Iterable[B], /, **options: Unpack[MapOptions]
    ) -> AsyncIterator[R | Exception]: ...

    @overload
    def aio(
        self,
        task: OfThree[A, B, C, R],
        a: Iterable[A],
        b: Iterable[B],
        c: Iterable[C],
        /,
        **options: Unpack[RaisingMapOptions],
    ) -> AsyncIterator[R]: ...

    @overload
    def aio(
        self,
        task: OfThree[A, B, C, R],
        a: Iterable[A],
        b: Iterable[B],
        c: Iterable[C],
        /,
        **options: Unpack[MapOptions],
    ) -> AsyncIterator[R | Exception]: ...

    @overload
    def aio(
        self, task: PartialOfAsync[R], /, *inputs: Iterable[Any], **options: Unpack[RaisingMapOptions]
    ) -> AsyncIterator[R]: ...

    @overload
    def aio(
        self, task: PartialOfAsync[R], /, *inputs: Iterable[Any], **options: Unpack[MapOptions]
    ) -> AsyncIterator[R | Exception]: ...

    @overload
    def aio(
        self, task: functools.partial[R], /, *inputs: Iterable[Any], **options: Unpack[RaisingMapOptions]
    ) -> AsyncIterator[R]: ...

    @overload
    def aio(
        self, task: functools.partial[R], /, *inputs: Iterable[Any], **options: Unpack[MapOptions]
    ) -> AsyncIterator[R | Exception]: ...

    def aio(self, task: Any, /, *inputs: Iterable[Any], **options: Any) -> AsyncIterator[Any]:
        """The same for async code: `async for result in volant.map.aio(task, items)`."""
        return _in_order_aio(_plan(task, inputs, options))


if not TYPE_CHECKING:
    # What is missing is said in our words; a type checker keeps the overloads.
    Map.__call__ = known_keywords("volant.map")(Map.__call__)
    Map.aio = known_keywords("volant.map.aio")(Map.aio)

map = Map()


class _Plan:
    """A checked request to map, and where it was made."""

    def __init__(self, task: Task[..., Any], calls: Iterator[_Arguments], options: dict[str, object]) -> None:
        for option in options:
            if option not in _OPTIONS:
                raise unknown_parameter("volant.map", option, _OPTIONS)
        name = options.get("group_name")
        self.task = task
        self.calls = calls
        self.concurrency = whole_number("volant.map", "concurrency", options.get("concurrency", 0), at_least=0)
        self.keeps_exceptions = flag("volant.map", "return_exceptions", options.get("return_exceptions", True))
        self.group = current_group() if name is None else nested_group(filled_text("volant.map", "group_name", name))
        self.session = current_session()

    def has_room(self, running: int) -> bool:
        """Whether another call may start."""
        return not self.concurrency or running < self.concurrency


def _plan(mapped: object, inputs: tuple[Iterable[Any], ...], options: dict[str, object]) -> _Plan:
    task, first, keywords = _unwrapped(mapped)
    if not inputs:
        message = f"volant.map of {task.name!r} has no inputs, expected one iterable per argument"
        raise ArgumentError(message, hint=_hint(task))
    for index, values in enumerate(inputs):
        if not isinstance(values, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
            message = f"volant.map of {task.name!r}: inputs[{index}] is {shown(values)} ({type(values).__name__})"
            raise ArgumentError(f"{message}, expected something to iterate over", hint=_hint(task))
    calls = (((*first, *values), keywords) for values in zip(*inputs, strict=False))
    return _Plan(task, calls, options)


def _hint(task: Task[..., Any]) -> str:
    arguments = ", ".join(f"values_of_{each.name}" for each in task.interface.parameters)
    return f"volant.map({', '.join(filter(None, (task.func.__name__, arguments)))})"


def _unwrapped(mapped: object) -> tuple[Task[..., Any], tuple[Any, ...], dict[str, Any]]:
    first: tuple[Any, ...] = ()
    keywords: dict[str, Any] = {}
    if isinstance(mapped, functools.partial):
        bound: functools.partial[Any] = mapped  # pyright: ignore[reportUnknownVariableType]
        mapped, first, keywords = bound.func, bound.args, bound.keywords
    if not isinstance(mapped, Task):
        message = f"volant.map: found {shown(mapped)}, expected a task or a functools.partial of one"
        raise ArgumentError(message, hint="decorate the function with @env.task, or use the built-in map")
    return cast("Task[..., Any]", mapped), first, keywords


def _in_order(plan: _Plan, session: Session) -> Generator[Any]:
    window = _Window(plan, session)
    waiting = window.waiting
    try:
        while True:
            window.start_more()
            if not waiting:
                return
            # It stays in the queue while it is waited for: an interrupt must cancel it too.
            first = waiting[0]
            while plan.concurrency and not isinstance(first, Exception) and not first.done():
                session.wait_for_any(window.running)
                window.start_more()
            result = _outcome(plan, first)
            waiting.popleft()
            yield result
    finally:
        for call in waiting:
            if not isinstance(call, Exception):
                call.cancel()


class _Window:
    """The calls that a blocking map has started: those whose results are wanted, and those under way."""

    def __init__(self, plan: _Plan, session: Session) -> None:
        self._plan = plan
        self._session = session
        self.waiting: deque[PendingCall[Any] | Exception] = deque()
        """In the order of the inputs."""
        self.running: list[PendingCall[Any]] = []
        """At most `concurrency`; not kept where there is no bound."""

    def start_more(self) -> None:
        """Start as many calls as there is room for."""
        plan = self._plan
        self.running = [call for call in self.running if not call.done()]
        while plan.has_room(len(self.running)):
            call = next(plan.calls, None)
            if call is None:
                return
            arguments = plan.task.prepare(self._session, *call)
            try:
                started = self._session.start_call(plan.task, arguments, group=plan.group)
            except Exception as error:  # noqa: BLE001 - it is this input's outcome
                self.waiting.append(error)
                continue
            self.waiting.append(started)
            if plan.concurrency:
                self.running.append(started)


def _outcome(plan: _Plan, call: PendingCall[Any] | Exception) -> Any:
    try:
        if isinstance(call, Exception):
            raise call
        return call.result()
    except Exception as error:
        if not plan.keeps_exceptions:
            raise
        return error


def _without_run(plan: _Plan) -> Generator[Any]:
    """Outside a run a task is the plain function, called when its result is asked for."""
    with _plain_call(plan.task) as call:
        for args, kwargs in plan.calls:
            try:
                result = call(*args, **kwargs)
            except Exception as error:
                if not plan.keeps_exceptions:
                    raise
                result = error
            yield result


@contextmanager
def _plain_call(task: Task[..., Any]) -> Generator[Callable[..., Any]]:
    if not task.interface.is_async:
        yield task.func
        return
    with asyncio.Runner() as runner:
        yield lambda *args, **kwargs: runner.run(task.func(*args, **kwargs))


async def _in_order_aio(plan: _Plan) -> AsyncGenerator[Any]:
    waiting: deque[asyncio.Task[Any]] = deque()
    running = _Running()
    try:
        while True:
            _start_more_aio(plan, waiting, running)
            if not waiting:
                return
            while not waiting[0].done():
                await running.wait_for_end()
                _start_more_aio(plan, waiting, running)
            yield _outcome(plan, waiting.popleft())
    finally:
        for call in waiting:
            call.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


class _Running:
    """Counts calls under way, and tells when one ends."""

    def __init__(self) -> None:
        self.count = 0
        self._ended = asyncio.Event()

    def add(self, call: "asyncio.Task[Any]") -> None:
        self.count += 1
        call.add_done_callback(self._end)

    async def wait_for_end(self) -> None:
        self._ended.clear()
        await self._ended.wait()

    def _end(self, _: "asyncio.Task[Any]") -> None:
        self.count -= 1
        self._ended.set()


def _start_more_aio(plan: _Plan, waiting: deque[asyncio.Task[Any]], running: _Running) -> None:
    while plan.has_room(running.count):
        call = next(plan.calls, None)
        if call is None:
            return
        task = asyncio.create_task(_coroutine(plan, call))
        running.add(task)
        waiting.append(task)


def _coroutine(plan: _Plan, call: _Arguments) -> Coroutine[Any, Any, Any]:
    args, kwargs = call
    if plan.session is None:
        return plan.task.aio(*args, **kwargs)
    return plan.session.call(plan.task, plan.task.prepare(plan.session, args, kwargs), group=plan.group)
