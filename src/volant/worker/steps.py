"""Traced functions that an attempt executes: name the call, ask for what is recorded of it, record how it ended."""

import time
from datetime import datetime
from typing import TYPE_CHECKING, Any, assert_never, cast

from volant.authoring.session import StepResult, current_step
from volant.authoring.tracing import TracedFunction
from volant.model.errors import RunAbortedError, VolantError
from volant.model.failures import Failure
from volant.model.payloads import Payload
from volant.model.worker_protocol import (
    Aborted,
    Acknowledged,
    AskStep,
    CallRefused,
    ChildEnded,
    Failed,
    StepEnded,
    Succeeded,
)
from volant.values.arguments import encode_arguments
from volant.values.codec import Encoded, decode, encode
from volant.values.contents import store_parts
from volant.values.failures import decode_exception
from volant.worker.calls import Call
from volant.worker.failing import failure_of
from volant.worker.naming import ActionNames

if TYPE_CHECKING:
    from volant.worker.session import AttemptSession


class AttemptStep:
    """One call of a traced function. Values are recorded as what they are, so that a replay gives the same types.

    Attributes:
        names: of the traced functions that it calls.
        asked_at: when the engine was asked for its outcome, by its clock.
    """

    names: ActionNames
    asked_at: datetime

    def __init__(
        self,
        session: "AttemptSession",
        traced: TracedFunction,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        group: str | None,
    ) -> None:
        self._session = session
        self._traced = traced
        self._group = group
        self._where = f"traced function {traced.name!r}"
        self._inputs = encode_arguments(traced.arguments(args, kwargs), where=self._where)
        if self._inputs.parts:
            # Now: the function may change the arrays that it was given.
            store_parts(self._inputs.parts, session.blobs)
        outer = current_step()
        names = outer.names if isinstance(outer, AttemptStep) else session.names
        self._action = names.next(traced.name, self._inputs.digest)
        self.names = ActionNames(self._action)
        self._began = time.monotonic()
        self._seconds = 0.0

    # Step

    def recorded(self) -> StepResult | None:
        if not (self._session.is_replayed or self._traced.needs_time):
            return None
        call = self._ask()
        self._session.wait_for(call)
        payload = self._payload(call)
        return self._replayed(call, None if payload is None else self._session.fetched(payload))

    async def recorded_aio(self) -> StepResult | None:
        if not (self._session.is_replayed or self._traced.needs_time):
            return None
        call = self._ask()
        await self._session.answered(call)
        payload = self._payload(call)
        return self._replayed(call, None if payload is None else await self._session.fetched_meanwhile(payload))

    def begin(self) -> None:
        self._began = time.monotonic()
        self._session.caller.steps.add(id(self))

    def leave(self) -> None:
        self._seconds = time.monotonic() - self._began
        self._session.caller.steps.discard(id(self))

    def end(self, result: StepResult) -> StepResult:
        failure, encoded = self._encoded(result)
        outputs = None if encoded is None else self._session.stored(encoded)
        call = self._tell(failure, self._session.stored(self._inputs), outputs)
        self._session.wait_for(call)
        return self._committed(call, result)

    async def end_aio(self, result: StepResult) -> StepResult:
        failure, encoded = self._encoded(result)
        outputs = None if encoded is None else await self._session.stored_meanwhile(encoded)
        call = self._tell(failure, await self._session.stored_meanwhile(self._inputs), outputs)
        await self._session.answered(call)
        return self._committed(call, result)

    # Out

    def _ask(self) -> Call:
        call = self._session.line.new_call(self._session.caller)
        asked = AskStep(attempt_key=self._session.caller.key, call=call.id, action=self._action)
        self._session.line.submit(call, asked)
        return call

    def _encoded(self, result: StepResult) -> tuple[Failure | None, Encoded | None]:
        """What it raised, and the stored form of what it gave. That those cannot be made is its failure."""
        value = result.value
        if self._traced.is_generator:
            items = list(result.items)
            value = items if result.value is None else (items, result.value)
        error = result.error
        if error is None or result.items:
            try:
                encoded = encode(value, Any, where=f"{self._where}: what it gave")
            except VolantError as exc:
                error = exc if error is None else error
            else:
                self._session.warn_of_pickles(encoded)
                return (None if error is None else failure_of(error)), encoded
        return failure_of(error), None

    def _tell(self, failure: Failure | None, inputs: Payload, outputs: Payload | None) -> Call:
        session = self._session
        if failure is not None:
            outcome: Succeeded | Failed = Failed(failure=failure, outputs=outputs)
        else:
            assert outputs is not None
            outcome = Succeeded(outputs=outputs)
        spec = session.line.tell_spec(self._traced.spec(session.environment))
        call = session.line.new_call(session.caller)
        ended = StepEnded(
            attempt_key=session.caller.key,
            call=call.id,
            action=self._action,
            spec=spec,
            inputs=inputs,
            inputs_digest=self._inputs.digest,
            outcome=outcome,
            seconds=self._seconds,
            group=self._group,
        )
        session.line.submit(call, ended)
        return call

    # In

    def _answer(self, call: Call) -> ChildEnded | None:
        """The outcome that was told; None: there is none."""
        match call.answer:
            case ChildEnded():
                return call.answer
            case Acknowledged(at=at):
                self.asked_at = at
                return None
            case None:
                return None
            case CallRefused():
                raise self._session.refusal(call.answer)
            case _:
                assert_never(call.answer)

    def _payload(self, call: Call) -> Payload | None:
        answer = self._answer(call)
        return None if answer is None or isinstance(answer.outcome, Aborted) else answer.outcome.outputs

    def _replayed(self, call: Call, data: bytes | None) -> StepResult | None:
        answer = self._answer(call)
        if answer is None:
            return None
        value: Any = None if data is None else decode(data, Any, where=self._where, blobs=self._session.store)
        items: list[Any] = []
        if self._traced.is_generator and data is not None:
            items, value = cast("tuple[list[Any], Any]", value if isinstance(value, tuple) else (value, None))
        return StepResult(value=value, error=self._error(answer), items=items)

    def _committed(self, call: Call, result: StepResult) -> StepResult:
        answer = self._answer(call)
        if answer is None:
            return result
        # What a replay would raise: the same class, whichever attempt sees it.
        return StepResult(value=result.value, error=self._error(answer))

    def _error(self, answer: ChildEnded) -> Exception | None:
        match answer.outcome:
            case Succeeded():
                return None
            case Failed(failure=failure):
                error = decode_exception(failure)
                return error if isinstance(error, Exception) else None
            case Aborted(reason=reason):
                return RunAbortedError(f"{self._where}: the action {answer.action} was aborted: {reason}")
            case _:
                assert_never(answer.outcome)
