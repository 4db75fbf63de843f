"""Calls that user code made and the engine has yet to answer, and what is said about them.

One `Line` leads to the engine; it may serve several attempts of this process. Whoever reads from the engine gives each
answer to `Line.hear`, which hands it to the one who waits: a loop's inbox, or a blocked thread.
"""

import itertools
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from volant.kit.digests import blake2b
from volant.model.failures import Failure, FailureKind
from volant.model.ids import AttemptKey, CallId, SpecDigest
from volant.model.specs import ActionSpec
from volant.model.worker_protocol import (
    Answer,
    AskStep,
    AttemptFinished,
    CallRefused,
    CancelCall,
    Failed,
    Rejoined,
    SaveCheckpoint,
    SpecKnown,
    StepEnded,
    SubmitCall,
    Waiting,
    Warned,
    WorkerToEngine,
    Working,
)

_encode = msgspec.msgpack.Encoder().encode


class Call:
    """One call. `answer` is there once it was taken in."""

    __slots__ = ("answer", "caller", "deliver", "id", "is_cancelled", "submission", "wake")

    def __init__(self, number: CallId, caller: "Caller") -> None:
        self.id = number
        self.caller = caller
        self.answer: Answer | None = None
        self.submission: SubmitCall | AskStep | StepEnded | SaveCheckpoint | None = None
        """What was said to the engine, to be said again to another one."""
        self.is_cancelled = False
        self.deliver: Callable[[Call, Answer], None] | None = None
        """Where an answer goes that arrives; None: it is taken in at once."""
        self.wake: Callable[[], None] | None = None
        """Called when the answer was taken in."""

    def take(self, answer: Answer) -> None:
        """Take in the answer. On the thread of whoever waits, except for a blocked thread's."""
        self.answer = answer
        wake = self.wake
        if wake is not None:
            self.wake = None
            wake()


class Caller:
    """One attempt, as far as its calls go."""

    __slots__ = ("is_ended", "is_waiting", "is_waiting_for_engine", "key", "open", "steps", "told")

    def __init__(self, key: AttemptKey) -> None:
        self.key = key
        self.told = 0
        """Answers that arrived."""
        self.is_waiting = False
        """Whether the engine was told so, and has told nothing since."""
        self.open: set[CallId] = set()
        """Calls without an answer."""
        self.is_waiting_for_engine = False
        """Whether the engine was told that nothing else can wake it, when it was told last that it waits."""
        self.is_ended = False
        """Whether the attempt has ended, while what it left behind in this process goes on."""
        self.steps: set[int] = set()
        """Traced functions that are being executed."""


def has_answer(calls: Sequence[Call]) -> bool:
    """Whether the answer to one of them was taken in."""
    return any(call.answer is not None for call in calls)


class Host(Protocol):
    """The process around a session: it knows how to wait."""

    line: "Line"

    def expect(self, call: Call, future: "Settable") -> None:
        """Resolve *future*, which belongs to the running loop, when the answer to *call* was taken in."""
        ...

    def wait(self, *calls: Call) -> None:
        """Block this thread until the answer to one of *calls*, of one caller, was taken in."""
        ...


class Settable(Protocol):
    """The part of a future that is needed here."""

    def done(self) -> bool: ...
    def set_result(self, result: None, /) -> None: ...


class Line:
    """What this process says to the engine, in order, and which calls are open. Any thread may use it."""

    def __init__(self, write: Callable[[Sequence[WorkerToEngine], Sequence[bytes]], None]) -> None:
        """*write* sends messages, which it gets as they are and encoded; it is never called by two threads at once."""
        self._write = write
        self._writing = threading.Lock()
        self._outbox: list[WorkerToEngine] = []
        self._calls: dict[CallId, Call] = {}
        self._numbers = itertools.count(1)
        self._specs: dict[int, tuple[ActionSpec, SpecDigest]] = {}
        self._told_specs: dict[SpecDigest, bytes] = {}
        self._said_again: set[CallId] = set()

    @property
    def has_unsent(self) -> bool:
        """Whether something was posted that has not been sent."""
        return bool(self._outbox)

    def post(self, message: WorkerToEngine) -> None:
        """Say something with the next flush."""
        self._outbox.append(message)

    def tell_spec(self, spec: ActionSpec) -> SpecDigest:
        """The digest of a spec, by which calls name it; the engine is told the spec before the first of them."""
        known = self._specs.get(id(spec))
        if known is not None and known[0] is spec:
            return known[1]
        body = _encode(spec)
        digest = SpecDigest(blake2b(body, digest_size=32).hexdigest())
        if digest not in self._told_specs:
            self._told_specs[digest] = body
            self._outbox.append(SpecKnown(spec=digest, body=body))
        # Last, so that no other thread names the spec before it was told.
        self._specs[id(spec)] = (spec, digest)
        return digest

    def new_call(self, caller: Caller) -> Call:
        """A call with a number of its own; the caller posts its submission with `submit`."""
        return Call(CallId(next(self._numbers)), caller)

    def submit(self, call: Call, message: SubmitCall | AskStep | StepEnded | SaveCheckpoint) -> None:
        """Post the submission of a call, and expect its answer."""
        if call.caller.is_ended:
            call.take(_too_late(call.id))
            return
        call.submission = message
        self._calls[call.id] = call
        call.caller.open.add(call.id)
        call.caller.is_waiting = False
        self._outbox.append(message)

    def cancel(self, call: Call) -> None:
        """Say that nobody waits for a call any more."""
        if call.id in self._calls:
            call.is_cancelled = True
            self._outbox.append(CancelCall(attempt_key=call.caller.key, call=call.id))
            call.caller.is_waiting = False

    def say_waiting(self, caller: Caller, *, for_engine: bool = False) -> None:
        """Post that the attempt waits, unless the engine knows; *for_engine*: and that nothing else can wake it."""
        if caller.is_ended or (caller.is_waiting and caller.is_waiting_for_engine >= for_engine):
            return
        caller.is_waiting = True
        caller.is_waiting_for_engine = for_engine
        self._outbox.append(Waiting(attempt_key=caller.key, told=caller.told, for_engine=for_engine))

    def say_working(self, caller: Caller) -> None:
        """Post that the attempt works again, unless the engine knows."""
        if caller.is_waiting:
            caller.is_waiting = False
            self._outbox.append(Working(attempt_key=caller.key))

    def flush(self) -> None:
        """Send what was posted, in one write."""
        with self._writing:
            # Other threads may append meanwhile.
            count = len(self._outbox)
            if count:
                messages: list[WorkerToEngine] = []
                bodies: list[bytes] = []
                for message in self._outbox[:count]:
                    sendable, body = self._encoded(message)
                    if sendable is not None:
                        messages.append(sendable)
                        bodies.append(body)
                del self._outbox[:count]
                self._send(messages, bodies)

    def say_again(self, caller: Caller, *, connect: Callable[[], None], last: AttemptFinished | None) -> None:
        """After *connect* has led the writing to another engine: say what the last one may not have known.

        *last* is the last word of the only attempt of this line, if it was said.
        """
        with self._writing:
            count = len(self._outbox)
            posted = self._outbox[:count]
            del self._outbox[:count]
            calls = [] if last is not None else list(self._calls.values())
            connect()
            # Another thread may have a call noted whose submission it has yet to post.
            self._said_again.update(call.id for call in calls)
            messages: list[WorkerToEngine] = [
                SpecKnown(spec=digest, body=body) for digest, body in list(self._told_specs.items())
            ]
            submissions = [call.submission for call in calls if call.submission is not None]
            asked = tuple(each.action for each in submissions if not isinstance(each, SaveCheckpoint))
            messages.append(Rejoined(attempt_key=caller.key, told=caller.told, asked=asked))
            messages += submissions
            messages += [CancelCall(attempt_key=caller.key, call=call.id) for call in calls if call.is_cancelled]
            messages += [message for message in posted if isinstance(message, Warned)]
            if last is not None:
                messages.append(last)
            elif caller.is_waiting:
                messages.append(Waiting(attempt_key=caller.key, told=caller.told))
            sendable = [found for message in messages if (found := self._encoded(message))[0] is not None]
            self._write([message for message, _ in sendable if message is not None], [body for _, body in sendable])

    def _send(self, messages: list[WorkerToEngine], bodies: list[bytes]) -> None:
        if self._said_again:
            kept = [at for at, message in enumerate(messages) if not self._was_said_again(message)]
            messages, bodies = [messages[at] for at in kept], [bodies[at] for at in kept]
        self._write(messages, bodies)

    def _was_said_again(self, message: WorkerToEngine) -> bool:
        match message:
            case SubmitCall(call=number) | AskStep(call=number) | StepEnded(call=number) | SaveCheckpoint(call=number):
                return number in self._said_again
            case _:
                return False

    def _encoded(self, message: WorkerToEngine) -> tuple[WorkerToEngine | None, bytes]:
        """A message and its bytes; what stands in for one that has none."""
        try:
            return message, _encode(message)
        except (ValueError, OverflowError, TypeError, RecursionError) as error:
            match message:
                case (
                    SubmitCall(call=number)
                    | AskStep(call=number)
                    | StepEnded(call=number)
                    | SaveCheckpoint(call=number)
                ):
                    self._refuse(number, f"the call cannot be sent: {error}")
                    return None, b""
                case AttemptFinished(attempt_key=key):
                    text = _plain(f"how the attempt ended cannot be sent: {error}")
                    failure = Failure(kind=FailureKind.SYSTEM, code=type(error).__name__, message=text, retryable=False)
                    message = AttemptFinished(attempt_key=key, outcome=Failed(failure=failure))
                case Warned(attempt_key=key, message=text):
                    message = Warned(attempt_key=key, message=_plain(text))
                case _:
                    raise
            return message, _encode(message)

    def _refuse(self, number: CallId, reason: str) -> None:
        """A call that the engine never hears of."""
        call = self._calls.pop(number, None)
        if call is not None:
            call.caller.open.discard(number)
            refused = CallRefused(call=number, error="CallError", message=_plain(reason))
            (call.deliver or Call.take)(call, refused)

    def hear(self, answer: Answer) -> None:
        """An answer arrived. Called by one thread at a time."""
        call = self._calls.pop(answer.call, None)
        if call is None:
            return
        caller = call.caller
        caller.open.discard(call.id)
        caller.told += 1
        caller.is_waiting = False
        deliver = call.deliver
        if deliver is None:
            call.take(answer)
        else:
            deliver(call, answer)

    def break_off(self, reason: str) -> None:
        """Nobody will answer any more: refuse every open call."""
        for number in list(self._calls):
            self.hear(CallRefused(call=number, error="EngineGoneError", message=reason))

    def end(self, caller: Caller) -> None:
        """The attempt has ended, and the engine answers it no more: whoever still waits is not to wait for ever."""
        caller.is_ended = True
        for number in sorted(caller.open):
            self.hear(_too_late(number))
        caller.is_waiting = False


def _plain(text: str) -> str:
    """The text without what UTF-8 does not have."""
    return text.encode(errors="backslashreplace").decode()


def _too_late(number: CallId) -> CallRefused:
    return CallRefused(call=number, error="RunAbortedError", message="the action that made this call has ended")
