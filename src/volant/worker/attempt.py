"""One attempt at an action: find the task, decode its inputs, run the function, encode what comes of it."""

import asyncio
import contextlib
import dis
import importlib
import inspect
import sys
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, assert_never

import msgspec

from volant.authoring.limits import check_size
from volant.authoring.loading import load_task
from volant.authoring.reaching import Reach
from volant.authoring.session import current
from volant.authoring.task import Task
from volant.model.errors import BlobError, DefinitionError
from volant.model.ids import SpecDigest
from volant.model.specs import ActionSpec, LoaderKind
from volant.model.worker_protocol import Failed, Outcome, StartAttempt, Succeeded
from volant.ports.blobs import Blobs
from volant.worker.calls import Caller, Host
from volant.worker.failing import AttemptFailure, failure_of, lasting_failure_of, system_failure_of
from volant.worker.session import AttemptSession
from volant.worker.substitutes import substitutes

_decode_spec = msgspec.msgpack.Decoder(ActionSpec).decode


class KnownTask:
    """A spec, and the task that it leads to."""

    __slots__ = ("function", "is_async", "never_waits", "spec", "task")

    def __init__(self, spec: ActionSpec, task: Task[..., Any]) -> None:
        self.spec = spec
        self.task = task
        self.function = substitutes.function_of(task)
        """What is called: the task's own function, unless a test put another in its place."""
        self.is_async = task.interface.is_async
        self.never_waits = _never_waits(self.function)
        """It is async, but there is no `await` in it: nothing has to be scheduled."""


def _never_waits(function: Any) -> bool:
    code = getattr(function, "__code__", None)
    if code is None or not code.co_flags & inspect.CO_COROUTINE:
        return False
    # Whatever waits in a coroutine (await, async with, async for) compiles to SEND.
    return all(instruction.opname != "SEND" for instruction in dis.get_instructions(code))


class KnownTasks:
    """Tasks by spec: a zygote looks them up once, for all of its forks."""

    def __init__(self) -> None:
        self._found: dict[SpecDigest, KnownTask | None] = {}

    def get(self, spec: SpecDigest) -> KnownTask | None:
        """What was found for a spec."""
        return self._found.get(spec)

    def learn(self, start: StartAttempt) -> None:
        """Find the task of an attempt; one that cannot be found is left to the attempt, which says why.

        Nothing is imported for it: that is part of the attempt, and might start threads here.
        """
        digest = start.spec
        if digest in self._found:
            return
        found: KnownTask | None = None
        with contextlib.suppress(Exception):
            spec = _decode_spec(start.spec_body)
            match spec.loader.kind:
                case LoaderKind.MODULE | LoaderKind.MAIN:
                    if spec.loader.module in sys.modules:
                        found = find_task(spec)
                        _build_plans(found.task)
                case LoaderKind.VALUE:
                    importlib.import_module("volant.authoring.by_value")
                case LoaderKind.RESOLVER:
                    pass
                case _:
                    assert_never(spec.loader.kind)
        self._found[digest] = found


def find_task(spec: ActionSpec) -> KnownTask:
    """The task of a spec.

    Raises:
        DefinitionError: the module does not have it.
        Exception: whatever user code raises on the way.
    """
    loader = spec.loader
    try:
        return KnownTask(spec, load_task(loader))
    except AttributeError as exc:
        if exc.name not in loader.qualname.split("."):
            raise
        msg = (
            f"task {spec.task!r} was defined in module {loader.module!r} as {loader.qualname!r}, "
            f"but there the attribute {exc.name!r} is missing"
        )
        raise DefinitionError(msg) from exc


async def _returning(outcome: Outcome) -> Outcome:
    return outcome


class Attempt:
    """Made from what the engine says; `prepare` it, then run it in one of three ways."""

    def __init__(
        self,
        start: StartAttempt,
        *,
        host: Host,
        caller: Caller,
        open_blobs: Callable[[str], Blobs],
        known: KnownTasks,
    ) -> None:
        self._start = start
        self._found = known.get(start.spec)
        self._arguments: tuple[tuple[object, ...], dict[str, object]] = ((), {})
        self.session = AttemptSession(start, caller=caller, host=host, open_blobs=open_blobs)

    @property
    def known(self) -> KnownTask:
        """The task; there once the attempt was prepared."""
        assert self._found is not None
        return self._found

    @property
    def is_async(self) -> bool:
        """Whether the function needs an event loop."""
        return self.known.is_async

    def prepare(self) -> None:
        """Find the task and decode its inputs.

        Raises:
            AttemptFailure: one of them cannot be done.
        """
        try:
            if self._found is None:
                self._found = find_task(_decode_spec(self._start.spec_body))
            self.session.spec = self._found.spec
            self.session.reach = Reach(self._found.task.environment)
            data = self.session.fetched(self._start.inputs)
            self._arguments = self._found.task.interface.decode_inputs(data, blobs=self.session.store)
        except BlobError as exc:
            raise AttemptFailure(system_failure_of(exc)) from exc
        except BaseException as exc:
            # User code runs here: imports, constructors, validators.
            raise AttemptFailure(lasting_failure_of(exc)) from exc

    def run_blocking(self) -> Outcome:
        """Call a sync function on this thread."""
        args, kwargs = self._arguments
        try:
            value = self.known.function(*args, **kwargs)
        except BaseException as exc:  # noqa: BLE001  # the boundary that records the failure of user code
            return Failed(failure=failure_of(exc))
        return self._succeeded(value)

    async def run(self) -> Outcome:
        """Await an async function as part of the current asyncio task."""
        current.set(self.session)
        args, kwargs = self._arguments
        try:
            value = await self.known.function(*args, **kwargs)
        except BaseException as exc:  # noqa: BLE001  # the boundary that records the failure of user code
            return Failed(failure=failure_of(exc))
        return self._succeeded(value)

    def run_on(self, loop: asyncio.BaseEventLoop) -> Outcome:
        """Run an async function on *loop* as `asyncio.run` does, and close the loop.

        A coroutine that never waits is run through without the loop's help; the loop only starts when something
        was scheduled on it.
        """
        if not self.known.never_waits:
            return self._run_scheduled(loop, self.run())
        asyncio._set_running_loop(loop)
        try:
            outcome = self._run_through()
        finally:
            asyncio._set_running_loop(None)
        if loop._ready or loop._scheduled:  # type: ignore[attr-defined]
            return self._run_scheduled(loop, _returning(outcome))
        return outcome

    def _run_through(self) -> Outcome:
        args, kwargs = self._arguments
        coroutine = self.known.function(*args, **kwargs)
        try:
            coroutine.send(None)
        except StopIteration as stop:
            return self._succeeded(stop.value)
        except BaseException as exc:  # noqa: BLE001  # the boundary that records the failure of user code
            return Failed(failure=failure_of(exc))
        msg = f"{coroutine!r} waited, though there is no await in it"
        raise AssertionError(msg)

    def _run_scheduled(self, loop: asyncio.AbstractEventLoop, main: Coroutine[Any, Any, Outcome]) -> Outcome:
        asyncio.set_event_loop(loop)
        try:
            try:
                return loop.run_until_complete(main)
            finally:
                _finish(loop)
        except BaseException as exc:  # noqa: BLE001  # SystemExit in any asyncio task stops the loop
            return Failed(failure=failure_of(exc))
        finally:
            asyncio.set_event_loop(None)
            loop.close()

    def _succeeded(self, value: object) -> Outcome:
        try:
            encoded = self.known.task.interface.encode_output(value)
            check_size(encoded, self.known.spec, "outputs")
        except BaseException as exc:  # noqa: BLE001  # user code runs here: a value's own pickling, a validator
            return Failed(failure=failure_of(exc))
        if encoded.pickled:
            self.session.warn_of_pickles(encoded)
        try:
            return Succeeded(outputs=self.session.stored(encoded))
        except BlobError as exc:
            return Failed(failure=system_failure_of(exc))


def _build_plans(task: Task[..., Any]) -> None:
    """Let the interface work out now what it works out once: every fork would do it again."""
    interface = task.interface
    for work_out in (partial(interface.encode_inputs, {}), partial(interface.encode_output, None)):
        with contextlib.suppress(Exception):
            work_out()


def _finish(loop: asyncio.AbstractEventLoop) -> None:
    """What `asyncio.run` does at its end: cancel what is left, close generators, wait for the default executor."""
    leftover = asyncio.all_tasks(loop)
    if leftover:
        for task in leftover:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*leftover, return_exceptions=True))
        for task in leftover:
            if not task.cancelled() and task.exception() is not None:
                loop.call_exception_handler(
                    {
                        "message": "unhandled exception while the tasks that were left over were cancelled",
                        "exception": task.exception(),
                        "task": task,
                    }
                )
    if getattr(loop, "_asyncgens", True):
        loop.run_until_complete(loop.shutdown_asyncgens())
    if getattr(loop, "_default_executor", True) is not None:
        loop.run_until_complete(loop.shutdown_default_executor())
