"""Durable sleeps: calls that nothing executes, and that the engine answers when their time has come."""

from typing import TYPE_CHECKING, Any, Final, assert_never

from volant.authoring.session import current_step
from volant.model.errors import RunAbortedError
from volant.model.specs import ActionKind, ActionSpec, Loader, LoaderKind
from volant.model.worker_protocol import Aborted, Acknowledged, CallRefused, ChildEnded, Failed, SubmitCall, Succeeded
from volant.values.arguments import encode_arguments
from volant.values.codec import encode
from volant.values.failures import decode_exception
from volant.worker.calls import Call
from volant.worker.steps import AttemptStep

if TYPE_CHECKING:
    from volant.worker.session import AttemptSession

NAME: Final = "volant.durable.sleep"
_SPECS: Final[dict[str, ActionSpec]] = {}
"""By name of the environment."""


def start_timer(session: "AttemptSession", seconds: float, *, group: str | None) -> Call:
    """Ask the engine for a timer, and for the rest of one that an earlier attempt asked for."""
    inputs = encode_arguments({"seconds": seconds}, where=NAME)
    step = current_step()
    names = step.names if isinstance(step, AttemptStep) else session.names
    spec = session.line.tell_spec(_spec(session.environment))
    call = session.line.new_call(session.caller)
    message = SubmitCall(
        attempt_key=session.caller.key,
        call=call.id,
        action=names.next(NAME, inputs.digest),
        spec=spec,
        inputs=session.stored(inputs),
        inputs_digest=inputs.digest,
        group=group,
        delay=seconds,
    )
    session.line.submit(call, message)
    return call


def check_ended(session: "AttemptSession", call: Call) -> None:
    """Return when the timer of a call has ended.

    Raises:
        VolantError: it was ended before.
    """
    match call.answer:
        case ChildEnded(outcome=outcome):
            match outcome:
                case Succeeded():
                    return
                case Failed(failure=failure):
                    raise decode_exception(failure)
                case Aborted(reason=reason):
                    msg = f"{NAME}: the timer {call.answer.action} was aborted: {reason}"
                    raise RunAbortedError(msg)
                case _:
                    assert_never(outcome)
        case CallRefused():
            raise session.refusal(call.answer)
        case Acknowledged() | None:
            msg = f"{NAME}: {call.answer!r} is no answer to a timer"
            raise AssertionError(msg)
        case _:
            assert_never(call.answer)


def _spec(environment: str) -> ActionSpec:
    spec = _SPECS.get(environment)
    if spec is None:
        spec = _SPECS[environment] = ActionSpec(
            task=NAME,
            short_name="sleep",
            environment=environment,
            loader=Loader(kind=LoaderKind.MODULE, module="volant.durable", qualname="sleep"),
            is_async=True,
            kind=ActionKind.TIMER,
            result=encode(None, Any).data,
        )
    return spec
