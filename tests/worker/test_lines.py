"""What a line to the engine does with messages that have no bytes: nobody waits for ever, and the others arrive."""

from collections.abc import Sequence
from typing import NoReturn

from volant.model.failures import FailureKind
from volant.model.ids import ActionId, AttemptKey, CallId, SpecDigest
from volant.model.payloads import Inline
from volant.model.worker_protocol import (
    AttemptFinished,
    CallRefused,
    Failed,
    SubmitCall,
    Succeeded,
    Warned,
    WorkerToEngine,
)
from volant.worker.calls import Call, Caller, Line

BAD = "caf\udce9"
KEY = AttemptKey(1)


class Ears:
    """The engine's end."""

    def __init__(self) -> None:
        self.heard: list[WorkerToEngine] = []
        self.line = Line(self._write)
        self.caller = Caller(KEY)

    def _write(self, messages: Sequence[WorkerToEngine], bodies: Sequence[bytes]) -> None:
        assert len(messages) == len(bodies)
        self.heard += messages

    def submit(self, group: str | None) -> Call:
        call = self.line.new_call(self.caller)
        message = SubmitCall(
            attempt_key=KEY,
            call=call.id,
            action=ActionId("a"),
            spec=SpecDigest("s"),
            inputs=Inline(data=b""),
            inputs_digest=None,
            group=group,
        )
        self.line.submit(call, message)
        return call


def test_a_call_that_cannot_be_sent_is_refused_and_the_others_go_out() -> None:
    ears = Ears()
    first, bad, last = ears.submit("one"), ears.submit(BAD), ears.submit("two")
    woken: list[bool] = []
    bad.wake = lambda: woken.append(True)
    ears.line.flush()
    assert isinstance(bad.answer, CallRefused)
    assert "cannot be sent" in bad.answer.message
    assert woken
    assert [message.call for message in ears.heard if isinstance(message, SubmitCall)] == [first.id, last.id]
    assert (first.answer, last.answer) == (None, None)


def test_a_call_that_cannot_be_sent_answers_to_whoever_takes_in_its_answers() -> None:
    ears = Ears()
    call = ears.submit(BAD)
    delivered: list[Call] = []
    call.deliver = lambda to, _answer: delivered.append(to)
    ears.line.flush()
    assert delivered == [call]


def test_a_warning_and_an_outcome_that_cannot_be_sent_are_said_as_well_as_can_be() -> None:
    ears = Ears()
    ears.line.post(Warned(attempt_key=KEY, message=BAD))
    ears.line.post(AttemptFinished(attempt_key=KEY, outcome=Succeeded(outputs=Inline(data=2**70))))  # type: ignore[arg-type]
    ears.line.flush()
    warned, finished = ears.heard
    assert warned == Warned(attempt_key=KEY, message="caf\\udce9")
    assert isinstance(finished, AttemptFinished)
    assert isinstance(finished.outcome, Failed)
    assert finished.outcome.failure.kind is FailureKind.SYSTEM


def test_the_end_of_a_caller_costs_what_it_left_open_and_not_what_others_did() -> None:
    ears = Ears()
    left = ears.submit(None)
    other = Caller(AttemptKey(2))
    ears.line.end(other)

    class Unlisted(dict[CallId, Call]):
        def items(self) -> NoReturn:
            raise AssertionError("all open calls were looked through")

        __iter__ = keys = values = items  # type: ignore[assignment]

    ears.line._calls = Unlisted(ears.line._calls)
    ears.line.end(ears.caller)
    assert isinstance(left.answer, CallRefused)
    assert ears.caller.open == set()
