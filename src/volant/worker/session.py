"""Calls of tasks from a running attempt: encode, name, submit, wait, decode."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar, assert_never

from volant.authoring.limits import check_size
from volant.authoring.reaching import Reach
from volant.authoring.session import PendingCall, RunningInfo, current_step
from volant.authoring.task import Task
from volant.authoring.tracing import TracedFunction
from volant.model import errors
from volant.model.errors import CallError, RunAbortedError, VolantError
from volant.model.ids import TaskName
from volant.model.payloads import Blob, Inline, Payload
from volant.model.specs import ActionSpec
from volant.model.worker_protocol import (
    Aborted,
    Acknowledged,
    CallRefused,
    Failed,
    StartAttempt,
    SubmitCall,
    Succeeded,
    Warned,
)
from volant.ports.blobs import Blobs
from volant.values.codec import Encoded, pickle_warning
from volant.values.contents import store
from volant.values.failures import decode_exception
from volant.worker.calls import Call, Caller, Host, has_answer
from volant.worker.checkpoints import Checkpoints
from volant.worker.naming import ActionNames
from volant.worker.steps import AttemptStep
from volant.worker.timers import check_ended, start_timer

R = TypeVar("R")

_IN_THREAD_BYTES = 1 << 20
"""Larger payloads are stored and fetched by a thread, so that the event loop goes on."""


class AttemptSession:
    """The `Session` of one attempt."""

    def __init__(self, start: StartAttempt, *, caller: Caller, host: Host, open_blobs: Callable[[str], Blobs]) -> None:
        self.spec: ActionSpec | None = None
        """Of the attempt's own task; set when it was found."""
        self.reach: Reach | None = None
        """What the environment of the attempt's own task reaches; set when it was found."""
        self._start = start
        self.caller = caller
        self.line = host.line
        self._host = host
        self._open_blobs = open_blobs
        self._blobs: Blobs | None = None
        self._info: RunningInfo | None = None
        self.names = ActionNames(start.action)
        self.is_replayed = start.attempt > 0 or start.context.takes_over
        """Whether there may be recorded steps of earlier attempts."""
        self._checkpoints = Checkpoints(self, start.checkpoint)
        self._warned: set[str] = set()

    @property
    def info(self) -> RunningInfo:
        """What the attempt knows about itself."""
        if self._info is None:
            assert self.spec is not None
            self._info = _info(self._start, self.spec)
        return self._info

    # Session

    def call(self, task: Task[..., R], arguments: dict[str, object], *, group: str | None) -> Coroutine[Any, Any, R]:
        coroutine = self._call(task, arguments, group)
        # What Python says of a coroutine that is never awaited should name the task.
        coroutine.__qualname__ = task.name  # type: ignore[attr-defined]
        return coroutine

    def call_blocking(self, task: Task[..., R], arguments: dict[str, object], *, group: str | None) -> R:
        call = self._begin(task, arguments, group)
        self.wait_for(call)
        return self.result_of(task, call)

    def wait_for_any(self, calls: Sequence[PendingCall[Any]]) -> None:
        pending = [each.call for each in calls if isinstance(each, _Pending)]
        if not has_answer(pending):
            self._host.wait(*pending)

    def start_call(self, task: Task[..., R], arguments: dict[str, object], *, group: str | None) -> PendingCall[R]:
        call = self._begin(task, arguments, group)
        self.line.flush()
        return _Pending(self, task, call)

    @property
    def in_traced_step(self) -> bool:
        return current_step() is not None

    def step(
        self, function: TracedFunction, args: tuple[Any, ...], kwargs: dict[str, Any], *, group: str | None
    ) -> AttemptStep:
        return AttemptStep(self, function, args, kwargs, group=group)

    def save_checkpoint(self, data: bytes, file: str | None) -> None:
        self._checkpoints.save(data, file)

    async def save_checkpoint_aio(self, data: bytes, file: str | None) -> None:
        await self._checkpoints.save_aio(data, file)

    def load_checkpoint(self) -> tuple[bytes, str | None] | None:
        return self._checkpoints.load()

    async def sleep(self, seconds: float, *, group: str | None) -> None:
        call = start_timer(self, seconds, group=group)
        await self.answered(call)
        check_ended(self, call)

    def sleep_blocking(self, seconds: float, *, group: str | None) -> None:
        call = start_timer(self, seconds, group=group)
        self.wait_for(call)
        check_ended(self, call)

    @property
    def environment(self) -> str:
        """The name of the environment of the attempt's own task."""
        return "" if self.spec is None else self.spec.environment

    # Waiting

    async def _call(self, task: Task[..., R], arguments: dict[str, object], group: str | None) -> R:
        encoded, spec = self._encoded(task, arguments)
        payload = await self.stored_meanwhile(encoded)
        call = self._submit(task, encoded, spec, payload, group)
        await self.answered(call)
        match call.answer:
            case None | CallRefused() | Acknowledged():
                pass
            case ended:
                if isinstance(ended.outcome, Succeeded) and self._is_large(ended.outcome.outputs):
                    return await asyncio.to_thread(self.result_of, task, call)
        return self.result_of(task, call)

    async def answered(self, call: Call) -> None:
        """Wait for the answer. Who is cancelled meanwhile cancels the call, and goes on when its end is committed.

        What an attempt left behind is cancelled, as it would be where a process ends with the attempt.
        """
        if call.answer is None:
            await self._arrived(call)
        if call.caller.is_ended:
            raise asyncio.CancelledError

    async def _arrived(self, call: Call) -> None:
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self._host.expect(call, future)
        try:
            await future
        except asyncio.CancelledError:
            if call.answer is None:
                self.line.cancel(call)
            while call.answer is None:
                future = loop.create_future()
                self._host.expect(call, future)
                with contextlib.suppress(asyncio.CancelledError):
                    await future
            raise
        except GeneratorExit:
            # The coroutine is thrown away; there is nobody left to wait.
            self.line.cancel(call)
            raise

    def wait_for(self, call: Call) -> None:
        if call.answer is not None:
            return
        try:
            self._host.wait(call)
        except BaseException:
            # A signal handler raised: the call is abandoned.
            self.line.cancel(call)
            raise

    def cancel(self, call: Call) -> None:
        """Say at once that nobody waits for a call any more."""
        self.line.cancel(call)
        self.line.flush()

    # Out

    def _begin(self, task: Task[..., Any], arguments: dict[str, object], group: str | None) -> Call:
        encoded, spec = self._encoded(task, arguments)
        return self._submit(task, encoded, spec, self.stored(encoded), group)

    def _encoded(self, task: Task[..., Any], arguments: dict[str, object]) -> tuple[Encoded, ActionSpec]:
        spec = task.spec()
        if self.reach is not None and (warning := self.reach.warning_about(task.environment)) is not None:
            self.warn(warning)
        encoded = task.interface.encode_inputs(arguments)
        check_size(encoded, spec, "inputs")
        if encoded.pickled:
            self.warn_of_pickles(encoded)
        return encoded, spec

    def _submit(
        self, task: Task[..., Any], encoded: Encoded, spec: ActionSpec, payload: Payload, group: str | None
    ) -> Call:
        digest = self.line.tell_spec(spec)
        call = self.line.new_call(self.caller)
        message = SubmitCall(
            attempt_key=self.caller.key,
            call=call.id,
            action=self.names.next(task.name, encoded.digest),
            spec=digest,
            inputs=payload,
            inputs_digest=encoded.digest,
            group=group,
        )
        self.line.submit(call, message)
        return call

    def warn_of_pickles(self, encoded: Encoded) -> None:
        """Say once what travels as a pickle."""
        for path in encoded.pickled:
            self.warn(pickle_warning(path))

    def warn(self, message: str) -> None:
        """Say something that the user should hear once."""
        if message not in self._warned and message not in self._start.context.warned:
            self._warned.add(message)
            self.line.post(Warned(attempt_key=self.caller.key, message=message))

    # In

    def result_of(self, task: Task[..., R], call: Call) -> R:
        answer = call.answer
        assert answer is not None
        assert not isinstance(answer, Acknowledged)
        if isinstance(answer, CallRefused):
            raise self.refusal(answer)
        outcome = answer.outcome
        match outcome:
            case Succeeded(outputs=outputs):
                return task.interface.decode_output(self.fetched(outputs), blobs=self.store)  # type: ignore[no-any-return]
            case Failed(failure=failure):
                raise decode_exception(failure)
            case Aborted(reason=reason):
                msg = f"task {task.name!r}: the action {answer.action} was aborted: {reason}"
                raise RunAbortedError(msg)
            case _:
                assert_never(outcome)

    @staticmethod
    def refusal(refused: CallRefused) -> VolantError:
        """The error of a call that was refused."""
        kind = getattr(errors, refused.error, None)
        if not (isinstance(kind, type) and issubclass(kind, VolantError)):
            return CallError(f"{refused.error}: {refused.message}", hint=refused.hint)
        error = kind(refused.message)
        if refused.hint is not None:
            error.hint = refused.hint
        return error

    # Payloads

    @property
    def blobs(self) -> Blobs:
        """The store of large values."""
        if self._blobs is None:
            self._blobs = self._open_blobs(self._start.context.blobs)
        return self._blobs

    def store(self) -> Blobs:
        """The store of large values, for who asks only when there is one."""
        return self.blobs

    def stored(self, value: Encoded | bytes) -> Payload:
        """A value as it travels, along with the message or in the store; its parts are in the store."""
        data, parts = (value, ()) if isinstance(value, bytes) else (value.data, value.parts)
        inline_bytes = self._start.context.inline_payload_bytes
        if not parts and len(data) <= inline_bytes:
            return Inline(data=data)
        return store(data, parts, self.blobs, inline_bytes=inline_bytes)

    def fetched(self, payload: Payload) -> bytes:
        """The bytes of a payload."""
        return payload.data if isinstance(payload, Inline) else self.blobs.get(payload)

    async def stored_meanwhile(self, value: Encoded | bytes) -> Payload:
        """As `stored`, without blocking the event loop for long."""
        size = len(value) if isinstance(value, bytes) else _size_to_store(value)
        if size < max(_IN_THREAD_BYTES, self._start.context.inline_payload_bytes):
            return self.stored(value)
        return await asyncio.to_thread(self.stored, value)

    async def fetched_meanwhile(self, payload: Payload) -> bytes:
        """As `fetched`, without blocking the event loop for long."""
        if isinstance(payload, Inline) or payload.size < _IN_THREAD_BYTES:
            return self.fetched(payload)
        return await asyncio.to_thread(self.fetched, payload)

    @staticmethod
    def _is_large(payload: Payload) -> bool:
        """Whether reading it may take long: it is large, or has parts, which are."""
        return bool(payload.parts) or (isinstance(payload, Blob) and payload.size >= _IN_THREAD_BYTES)


def _size_to_store(encoded: Encoded) -> int:
    return len(encoded.data) + sum(part.blob.size for part in encoded.parts if part.chunks is not None)


class _Pending(PendingCall[R]):
    """A call that sync code started."""

    def __init__(self, session: AttemptSession, task: Task[..., R], call: Call) -> None:
        self._session = session
        self._task = task
        self.call = call

    def done(self) -> bool:
        return self.call.answer is not None

    def result(self) -> R:
        self._session.wait_for(self.call)
        return self._session.result_of(self._task, self.call)

    def cancel(self) -> None:
        self._session.cancel(self.call)


def _info(start: StartAttempt, spec: ActionSpec) -> RunningInfo:
    context = start.context
    return RunningInfo(
        run=context.run,
        action=start.action,
        parent=start.parent,
        task=TaskName(spec.task),
        short_name=spec.short_name,
        attempt=start.attempt,
        run_start_time=context.created_at,
        mode=context.mode,
        raw_data_path=context.raw_data_path,
        custom_context=context.custom_context,
    )
