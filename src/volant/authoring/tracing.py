"""`@volant.trace`: a function whose outcome is recorded, so that it is not executed again when its caller is.

What is recorded is how it ended: what it returned, all that it gave as a generator, or what it raised. In an action
that is executed again it is not called then: it gives, or raises, what is recorded.
"""

import contextlib
import functools
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from typing import Any, TypeVar, cast

from volant.authoring.session import Session, Step, StepResult, current, current_group, current_session, enter_step
from volant.authoring.task import Task, in_running_loop
from volant.authoring.validation import shown
from volant.model.errors import DefinitionError, DefinitionTypeError, SyncTaskCallInAsyncContextError
from volant.model.specs import ActionKind, ActionSpec, Loader, LoaderKind

F = TypeVar("F", bound=Callable[..., Any])


class TracedFunction:
    """What is known of a traced function."""

    __slots__ = (
        "_place",
        "_signature",
        "_specs",
        "function",
        "is_async",
        "is_generator",
        "name",
        "needs_time",
        "short_name",
    )

    def __init__(self, function: Callable[..., Any], *, name: str | None = None, needs_time: bool = False) -> None:
        """*name* is what its calls are recorded under, by default its module and its qualified name; what *needs_time*
        is called with the time by the engine's clock."""
        self.needs_time = needs_time
        self.function = function
        module, qualname = getattr(function, "__module__", None) or "", function.__qualname__
        if name is not None:
            module, _, qualname = name.rpartition(".")
        self._place = f"{module}:{qualname}"
        self.name = f"{module}.{qualname}"
        self.short_name = qualname.rpartition(".")[2]
        self.is_async = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
        self.is_generator = inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
        self._signature: inspect.Signature | None = None
        self._specs: dict[str, ActionSpec] = {}

    def arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """The arguments of a call by name, with defaults.

        Raises:
            TypeError: they do not bind.
        """
        if self.needs_time:
            return {}
        signature = self._signature if self._parameters() else None
        if signature is None:
            return {**{str(place): value for place, value in enumerate(args)}, **kwargs}
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return bound.arguments

    def _parameters(self) -> bool:
        """Find out what the function takes, and whether it takes something; what C code takes is not always known."""
        if self._signature is None:
            with contextlib.suppress(ValueError):
                self._signature = inspect.signature(self.function)
        return self._signature is not None and bool(self._signature.parameters)

    def spec(self, environment: str) -> ActionSpec:
        """The settings of its calls in tasks of an environment; the same object each time."""
        spec = self._specs.get(environment)
        if spec is None:
            module, _, qualname = self._place.rpartition(":")
            loader = Loader(kind=LoaderKind.MODULE, module=module, qualname=qualname)
            spec = self._specs[environment] = ActionSpec(
                task=self.name,
                short_name=self.short_name,
                environment=environment,
                loader=loader,
                is_async=self.is_async,
                kind=ActionKind.STEP,
            )
        return spec


def trace(function: F) -> F:
    """Record how a function ends when a task calls it, so that it is executed once.

    For functions that are sync, async, or generators of either kind; the decorated function keeps its signature. Once
    it has ended (a generator: once it is exhausted), its outcome is committed before its caller gets it. An action that
    is executed again, after a crash, a lost worker or a failure of its own, gets the recorded results of the traced
    functions that it called before, matched as calls of tasks are: by function, arguments and the number among equal
    calls. A failure, too, is recorded and raised again; only after the action's own failure it is executed anew.

    One that did not end (its process was killed, it was cancelled, a generator was given up) is executed again.
    Results are recorded by their values: what cannot be stored cannot be returned. Tasks cannot be called inside.
    Outside a run it is the plain function.

    Raises:
        DefinitionError: it is a task, a class, or no function.
        SyncTaskCallInAsyncContextError: when called: a sync function would block the event loop of async code until
            it is recorded; `await asyncio.to_thread(function, ...)` does not.
    """
    _check(function)
    traced = TracedFunction(function)
    if inspect.isasyncgenfunction(function):
        made: Callable[..., Any] = _async_generator(traced)
    elif inspect.iscoroutinefunction(function):
        made = _coroutine(traced)
    elif inspect.isgeneratorfunction(function):
        made = _generator(traced)
    else:
        made = _plain(traced)
    return cast("F", functools.update_wrapper(made, function))


def call_blocking(traced: TracedFunction, session: Session, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call a sync function as a step, and block this thread until its end is recorded."""
    refuse_in_loop(traced)
    step = session.step(traced, args, kwargs, group=current_group())
    found = step.recorded()
    if found is None:
        step.begin()
        before = enter_step(session, step)
        try:
            result = _called(traced, _with_time(traced, step, args), kwargs)
        finally:
            current.set(before)
            step.leave()
        found = step.end(result)
    return _given(found)


async def call(traced: TracedFunction, session: Session, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call a function as a step from async code: an async one, or a sync one that takes no time."""
    step = session.step(traced, args, kwargs, group=current_group())
    found = await step.recorded_aio()
    if found is None:
        step.begin()
        before = enter_step(session, step)
        try:
            result = (
                await _awaited(traced, args, kwargs)
                if traced.is_async
                else _called(traced, _with_time(traced, step, args), kwargs)
            )
        finally:
            current.set(before)
            step.leave()
        found = await step.end_aio(result)
    return _given(found)


def refuse_in_loop(traced: TracedFunction, hint: str = "") -> None:
    """A call that would block the event loop of its caller.

    Raises:
        SyncTaskCallInAsyncContextError: there is one.
    """
    if in_running_loop():
        what = "traced function" if not hint else "function"
        message = f"the sync {what} {traced.name!r} is called from async code, where it would block the event loop"
        hint = hint or f"await asyncio.to_thread({traced.short_name}, ...), or make it an async def"
        raise SyncTaskCallInAsyncContextError(message, hint=hint)


def _plain(traced: TracedFunction) -> Callable[..., Any]:
    def called(*args: Any, **kwargs: Any) -> Any:
        session = current_session()
        if session is None:
            return traced.function(*args, **kwargs)
        return call_blocking(traced, session, args, kwargs)

    return called


def _coroutine(traced: TracedFunction) -> Callable[..., Any]:
    async def called(*args: Any, **kwargs: Any) -> Any:
        session = current_session()
        if session is None:
            return await traced.function(*args, **kwargs)
        return await call(traced, session, args, kwargs)

    return called


def _generator(traced: TracedFunction) -> Callable[..., Any]:
    def called(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        session = current_session()
        if session is None:
            return cast("Generator[Any, Any, Any]", traced.function(*args, **kwargs))
        return _given_one_by_one(traced, session, args, kwargs)

    return called


def _given_one_by_one(
    traced: TracedFunction, session: Session, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Generator[Any, Any, Any]:
    refuse_in_loop(traced, "make it an async generator")
    step = session.step(traced, args, kwargs, group=current_group())
    found = step.recorded()
    if found is None:
        result = yield from _observed(session, step, traced.function(*args, **kwargs))
        found = step.end(result)
    else:
        for item in found.items:
            # What the function made of what is thrown in is recorded: it comes next.
            with contextlib.suppress(Exception):
                yield item
    return _given(found)


def _observed(session: Session, step: Step, source: Generator[Any, Any, Any]) -> Generator[Any, Any, StepResult]:
    """Let a generator run, and keep what it gives."""
    items: list[Any] = []
    resume: Callable[[], Any] = functools.partial(next, source)
    step.begin()
    try:
        while True:
            before = enter_step(session, step)
            try:
                item = resume()
            except StopIteration as stop:
                return StepResult(value=stop.value, items=items)
            except Exception as exc:  # noqa: BLE001  # the boundary that records the failure of user code
                return StepResult(error=exc, items=items)
            finally:
                current.set(before)
            items.append(item)
            try:
                resume = functools.partial(source.send, (yield item))
            except Exception as exc:  # noqa: BLE001  # thrown in by whoever uses it, who wants to see what comes of it
                resume = functools.partial(source.throw, exc)
    finally:
        source.close()
        step.leave()


def _async_generator(traced: TracedFunction) -> Callable[..., Any]:
    def called(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        session = current_session()
        if session is None:
            return cast("AsyncGenerator[Any, Any]", traced.function(*args, **kwargs))
        return _given_one_by_one_aio(traced, session, args, kwargs)

    return called


async def _given_one_by_one_aio(
    traced: TracedFunction, session: Session, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> AsyncGenerator[Any, Any]:
    step = session.step(traced, args, kwargs, group=current_group())
    found = await step.recorded_aio()
    if found is not None:
        for item in found.items:
            # As in a sync one.
            with contextlib.suppress(Exception):
                yield item
        _given(found)
        return
    items: list[Any] = []
    error: Exception | None = None
    source: AsyncGenerator[Any, Any] = traced.function(*args, **kwargs)
    resume: Callable[[], Awaitable[Any]] = functools.partial(anext, source)
    step.begin()
    try:
        while True:
            before = enter_step(session, step)
            try:
                item = await resume()
            except StopAsyncIteration:
                break
            except Exception as exc:  # noqa: BLE001  # the boundary that records the failure of user code
                error = exc
                break
            finally:
                current.set(before)
            items.append(item)
            try:
                resume = functools.partial(source.asend, (yield item))
            except Exception as exc:  # noqa: BLE001  # thrown in by whoever uses it, who wants to see what comes of it
                resume = functools.partial(source.athrow, exc)
    finally:
        await source.aclose()
        step.leave()
    _given(await step.end_aio(StepResult(error=error, items=items)))


def _with_time(traced: TracedFunction, step: Step, args: tuple[Any, ...]) -> tuple[Any, ...]:
    return (*args, step.asked_at) if traced.needs_time else args


def _called(traced: TracedFunction, args: tuple[Any, ...], kwargs: dict[str, Any]) -> StepResult:
    try:
        return StepResult(value=traced.function(*args, **kwargs))
    except Exception as exc:  # noqa: BLE001  # the boundary that records the failure of user code
        return StepResult(error=exc)


async def _awaited(traced: TracedFunction, args: tuple[Any, ...], kwargs: dict[str, Any]) -> StepResult:
    try:
        return StepResult(value=await traced.function(*args, **kwargs))
    except Exception as exc:  # noqa: BLE001  # the boundary that records the failure of user code
        return StepResult(error=exc)


def _given(found: StepResult) -> Any:
    if found.error is not None:
        raise found.error
    return found.value


def _check(function: object) -> None:
    if isinstance(function, Task):
        message = f"@volant.trace: {function!r} is a task, which is recorded already, expected a function"
        raise DefinitionError(message, hint="leave @volant.trace out")
    kind = type(function).__name__
    if kind in {"staticmethod", "classmethod"}:
        message = f"@volant.trace: found a {kind}, expected a function"
        raise DefinitionTypeError(message, hint=f"put @volant.trace below @{kind}")
    if isinstance(function, type) or not isinstance(getattr(function, "__qualname__", None), str):
        hint = "it has no parameters: @volant.trace above a def or async def"
        raise DefinitionTypeError(f"@volant.trace: found {shown(function)}, expected a function", hint=hint)
