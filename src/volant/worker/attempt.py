"""One attempt at an action: find the task, decode its inputs, run the function, encode what comes of it."""

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

import msgspec

from volant.authoring.loading import load_task
from volant.authoring.session import current
from volant.authoring.task import Task
from volant.model.errors import BlobError, DefinitionError
from volant.model.failures import Failure
from volant.model.ids import AttemptKey
from volant.model.specs import ActionSpec
from volant.model.worker_protocol import Failed, Outcome, StartAttempt, Succeeded
from volant.ports.blobs import Blobs
from volant.worker.calls import Caller, Host
from volant.worker.failing import AttemptFailure, failure_of, lasting_failure_of, system_failure_of
from volant.worker.session import AttemptSession, check_size

_decode_spec = msgspec.msgpack.Decoder(ActionSpec).decode


class Attempt:
    """Made from what the engine says; `prepare` it, then run it in one of three ways."""

    def __init__(self, start: StartAttempt, *, host: Host, caller: Caller, open_blobs: Callable[[str], Blobs]) -> None:
        self._start = start
        self.spec = _decode_spec(start.spec_body)
        self.session = AttemptSession(start, self.spec, caller=caller, host=host, open_blobs=open_blobs)
        self._task: Task[..., Any] | None = None
        self._arguments: tuple[tuple[object, ...], dict[str, object]] = ((), {})

    @property
    def key(self) -> AttemptKey:
        return self._start.attempt_key

    @property
    def is_async(self) -> bool:
        """Whether the function needs an event loop."""
        return self._found().interface.is_async

    def prepare(self) -> None:
        """Load the task and decode its inputs.

        Raises:
            AttemptFailure: one of them cannot be done.
        """
        try:
            self._task = self._load()
            data = self.session.fetched(self._start.inputs)
            self._arguments = self._task.interface.decode_inputs(data)
        except BlobError as exc:
            raise AttemptFailure(system_failure_of(exc)) from exc
        except BaseException as exc:
            # User code runs here: imports, constructors, validators.
            raise AttemptFailure(lasting_failure_of(exc)) from exc

    def run_blocking(self) -> Outcome:
        """Call a sync function on this thread."""
        args, kwargs = self._arguments
        try:
            value = self._found().func(*args, **kwargs)
        except BaseException as exc:  # noqa: BLE001  # the boundary that records the failure of user code
            return Failed(failure=failure_of(exc))
        return self._succeeded(value)

    async def run(self) -> Outcome:
        """Await an async function as part of the current asyncio task."""
        current.set(self.session)
        args, kwargs = self._arguments
        try:
            value = await self._found().func(*args, **kwargs)
        except BaseException as exc:  # noqa: BLE001  # the boundary that records the failure of user code
            return Failed(failure=failure_of(exc))
        return self._succeeded(value)

    def run_on(self, loop: asyncio.AbstractEventLoop) -> Outcome:
        """Run an async function on *loop* as `asyncio.run` does, and close the loop."""
        asyncio.set_event_loop(loop)
        try:
            try:
                return loop.run_until_complete(self.run())
            finally:
                _finish(loop)
        except BaseException as exc:  # noqa: BLE001  # SystemExit in any asyncio task stops the loop
            return Failed(failure=failure_of(exc))
        finally:
            asyncio.set_event_loop(None)
            loop.close()

    def _found(self) -> Task[..., Any]:
        assert self._task is not None
        return self._task

    def _load(self) -> Task[..., Any]:
        loader = self.spec.loader
        try:
            return load_task(loader)
        except AttributeError as exc:
            if exc.name is None or (not inspect.ismodule(exc.obj) and exc.name not in loader.qualname.split(".")):
                raise
            msg = (
                f"task {self.spec.task!r} was defined in module {loader.module!r} as {loader.qualname!r}, "
                f"but there the attribute {exc.name!r} is missing"
            )
            raise DefinitionError(msg) from exc

    def _succeeded(self, value: object) -> Outcome:
        try:
            encoded = self._found().interface.encode_output(value)
            check_size(encoded, self.spec, "outputs")
        except BaseException as exc:  # noqa: BLE001  # user code runs here: a value's own pickling, a validator
            return Failed(failure=failure_of(exc))
        if encoded.pickled:
            self.session.warn_of_pickles(encoded)
        try:
            return Succeeded(outputs=self.session.stored(encoded.data))
        except BlobError as exc:
            return Failed(failure=system_failure_of(exc))


def failed(failure: Failure) -> Outcome:
    """The outcome of an attempt that could not be made."""
    return Failed(failure=failure)


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
