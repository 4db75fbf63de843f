"""Calls of one task that are started ahead of the result that is waited for; see `volant.authoring.mapping`."""

import asyncio
import functools
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from volant.authoring.session import PendingCall, Session, current_group, current_session, nested_group
from volant.authoring.task import Task
from volant.authoring.validation import filled_text, flag, shown, unknown_parameter, whole_number
from volant.model.errors import ArgumentError

_Arguments = tuple[tuple[Any, ...], dict[str, Any]]
_OPTIONS = ("group_name", "concurrency", "return_exceptions")


class Plan:
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


def plan_of(mapped: object, inputs: tuple[Iterable[Any], ...], options: dict[str, object]) -> Plan:
    task, first, keywords = _unwrapped(mapped)
    if not inputs:
        message = f"volant.map of {task.name!r} has no inputs, expected one iterable per argument"
        raise ArgumentError(message, hint=_hint(task))
    for index, values in enumerate(inputs):
        if not isinstance(values, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
            message = f"volant.map of {task.name!r}: inputs[{index}] is {shown(values)} ({type(values).__name__})"
            raise ArgumentError(f"{message}, expected something to iterate over", hint=_hint(task))
    calls = (((*first, *values), keywords) for values in zip(*inputs, strict=False))
    return Plan(task, calls, options)


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


def in_order(plan: Plan, session: Session) -> Generator[Any]:
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

    def __init__(self, plan: Plan, session: Session) -> None:
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


def _outcome(plan: Plan, call: PendingCall[Any] | Exception) -> Any:
    try:
        if isinstance(call, Exception):
            raise call
        return call.result()
    except Exception as error:
        if not plan.keeps_exceptions:
            raise
        return error


def without_run(plan: Plan) -> Generator[Any]:
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


async def in_order_aio(plan: Plan) -> AsyncGenerator[Any]:
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


def _start_more_aio(plan: Plan, waiting: deque[asyncio.Task[Any]], running: _Running) -> None:
    while plan.has_room(running.count):
        call = next(plan.calls, None)
        if call is None:
            return
        task = asyncio.create_task(_coroutine(plan, call))
        running.add(task)
        waiting.append(task)


def _coroutine(plan: Plan, call: _Arguments) -> Coroutine[Any, Any, Any]:
    args, kwargs = call
    if plan.session is None:
        return plan.task.aio(*args, **kwargs)
    return plan.session.call(plan.task, plan.task.prepare(plan.session, args, kwargs), group=plan.group)
