"""The engine of an inline run, played by a test: it answers every call by starting an attempt in the same process."""

import asyncio
import hashlib
import itertools
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, NoReturn

import msgspec

from volant.authoring.task import Task
from volant.model.ids import ActionId, AttemptKey, RunId, SpecDigest
from volant.model.payloads import Inline, Payload
from volant.model.worker_protocol import (
    Aborted,
    AttemptFinished,
    CancelCall,
    ChildEnded,
    EndAttempt,
    EngineToWorker,
    Outcome,
    RunContext,
    SpecKnown,
    StartAttempt,
    SubmitCall,
    Succeeded,
    Waiting,
    WorkerToEngine,
)
from volant.values.failures import decode_exception
from volant.worker.inline import InlineHost

encode = msgspec.msgpack.Encoder().encode


class InlineEngine:
    """One run at a time. Messages travel as bytes, and arrive in later turns of the loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.host = InlineHost(self._heard, open_blobs=_no_blobs)
        self.heard: list[WorkerToEngine] = []
        self.when_finished: Callable[[AttemptKey], bool] = lambda _key: True
        """Whether the end of an attempt is told to its caller."""
        self._keys = itertools.count(1)
        self._seq = itertools.count(1)
        self._specs: dict[SpecDigest, bytes] = {}
        self._callers: dict[AttemptKey, SubmitCall] = {}
        self._actions: dict[AttemptKey, ActionId] = {}
        self._ends: dict[AttemptKey, asyncio.Future[Outcome]] = {}
        self._context = RunContext(
            run=RunId("inline-run"),
            mode="inline",
            created_at=datetime(2024, 5, 17, tzinfo=UTC),
            raw_data_path="",
            home="",
            blobs="",
        )

    async def run(self, task: Task[..., Any], /, **arguments: Any) -> Any:
        """What a run of *task* gives, or raises."""
        outcome = await self.start(task, **arguments)[1]
        if isinstance(outcome, Succeeded):
            assert isinstance(outcome.outputs, Inline)
            return task.interface.decode_output(outcome.outputs.data)
        if isinstance(outcome, Aborted):
            raise RuntimeError(outcome.reason)
        raise decode_exception(outcome.failure)

    def start(self, task: Task[..., Any], /, **arguments: Any) -> tuple[AttemptKey, "asyncio.Future[Outcome]"]:
        inputs = Inline(data=task.interface.encode_inputs(arguments).data)
        key = self._start(encode(task.spec()), ActionId("b1" * 16), None, inputs)
        self._ends[key] = self._loop.create_future()
        return key, self._ends[key]

    def end(self, key: AttemptKey) -> None:
        self._say(EndAttempt(attempt_key=key))

    @property
    def unfinished(self) -> set[AttemptKey]:
        finished = {message.attempt_key for message in self.heard if isinstance(message, AttemptFinished)}
        return self._actions.keys() - finished

    def _start(self, body: bytes, action: ActionId, parent: ActionId | None, inputs: Payload) -> AttemptKey:
        key = AttemptKey(next(self._keys))
        self._actions[key] = action
        digest = SpecDigest(hashlib.blake2b(body, digest_size=32).hexdigest())
        self._say(
            StartAttempt(
                attempt_key=key,
                context=self._context,
                action=action,
                parent=parent,
                attempt=0,
                spec=digest,
                spec_body=body,
                inputs=inputs,
            )
        )
        return key

    def _say(self, *messages: EngineToWorker) -> None:
        data = msgspec.msgpack.encode(messages)
        decoded = msgspec.msgpack.decode(data, type=tuple[EngineToWorker, ...])
        self._loop.call_soon(self.host.receive, decoded)

    def _heard(self, messages: Sequence[WorkerToEngine]) -> None:
        for message in msgspec.msgpack.decode(msgspec.msgpack.encode(messages), type=list[WorkerToEngine]):
            self.heard.append(message)
            match message:
                case SpecKnown(spec=spec, body=body):
                    self._specs[spec] = body
                case SubmitCall():
                    parent = self._actions[message.attempt_key]
                    key = self._start(self._specs[message.spec], message.action, parent, message.inputs)
                    self._callers[key] = message
                case CancelCall(call=call):
                    for key, caller in self._callers.items():
                        if caller.call == call:
                            self.end(key)
                case AttemptFinished(attempt_key=key, outcome=outcome):
                    self._finished(key, outcome)
                case _:
                    pass

    def _finished(self, key: AttemptKey, outcome: Outcome) -> None:
        if key in self._ends:
            self._ends[key].set_result(outcome)
        elif self.when_finished(key):
            call = self._callers[key]
            self._say(ChildEnded(call=call.call, action=call.action, seq=next(self._seq), outcome=outcome))

    def waits(self) -> list[Waiting]:
        return [message for message in self.heard if isinstance(message, Waiting)]


def _no_blobs(_url: str) -> NoReturn:
    msg = "values here are small"
    raise AssertionError(msg)
