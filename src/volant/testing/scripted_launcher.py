"""A launcher whose attempts are coroutines of the test: no processes, no user code, the real protocol."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Collection, Mapping

import msgspec

from volant.model.exits import Exit
from volant.model.failures import Failure, FailureKind
from volant.model.ids import ActionId, AttemptKey, CallId, SpecDigest
from volant.model.payloads import Inline
from volant.model.specs import ActionSpec, Loader, LoaderKind, RetrySpec
from volant.model.worker_protocol import (
    Accepted,
    AttemptFinished,
    CallRefused,
    CancelCall,
    ChildEnded,
    EngineToWorker,
    Failed,
    Outcome,
    SpecKnown,
    StartAttempt,
    SubmitCall,
    Succeeded,
    Waiting,
)
from volant.ports.launcher import AttemptOrder, LauncherEvents

Script = Callable[["ScriptedAttempt"], Awaitable[bytes]]


class Lost(Exception):
    """Raise it in a script: the worker is gone without a word."""


class Refused(Exception):
    """A call that the engine does not execute."""


def scripted_spec(name: str, *, retries: int = 0, cpu: int = 1000) -> ActionSpec:
    """The spec of the task that the script called *name* plays."""
    plain = ActionSpec(
        task=f"scripted.{name}",
        short_name=name,
        environment="scripted",
        loader=Loader(kind=LoaderKind.MODULE, module="scripted", qualname=name),
        is_async=True,
        retries=RetrySpec(count=retries),
    )
    return msgspec.structs.replace(plain, resources=msgspec.structs.replace(plain.resources, cpu=cpu))


def encoded(spec: ActionSpec) -> tuple[SpecDigest, bytes]:
    """A digest and the bytes of a spec."""
    body = msgspec.msgpack.encode(spec)
    return SpecDigest(str(hash(body))), body


def scripted_id(*path: str) -> ActionId:
    """The id of the action that these names lead to."""
    return ActionId(hashlib.blake2b("/".join(path).encode(), digest_size=16).hexdigest())


class ScriptedAttempt:
    """What a script sees of its attempt."""

    def __init__(self, launcher: "ScriptedLauncher", start: StartAttempt) -> None:
        self.number = start.attempt
        self.action = start.action
        self.inputs = start.inputs.data if isinstance(start.inputs, Inline) else b""
        self.told: list[ChildEnded] = []
        self.accepted = asyncio.Event()
        """The last word is committed."""
        self._launcher = launcher
        self._key = start.attempt_key
        self._calls: dict[CallId, asyncio.Future[Outcome]] = {}
        self._count = 0
        self._only_waits = False

    def call(
        self, name: str, *, action: str, retries: int = 0, cpu: int = 1000, has_digest: bool = True
    ) -> "asyncio.Future[Outcome]":
        """Call the task that the script *name* plays; *action* names the call within this parent.

        A call that is refused raises `Refused`.
        """
        self._count += 1
        call = CallId(self._count)
        digest, body = encoded(scripted_spec(name, retries=retries, cpu=cpu))
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._calls[call] = future
        self._launcher.events.attempt_said(
            self._key,
            [
                SpecKnown(spec=digest, body=body),
                SubmitCall(
                    attempt_key=self._key,
                    call=call,
                    action=scripted_id(self.action, action),
                    spec=digest,
                    inputs=Inline(data=action.encode()),
                    inputs_digest=action if has_digest else None,
                ),
            ],
        )
        return future

    def cancel(self, future: "asyncio.Future[Outcome]") -> None:
        """Cancel a call; its future is done when the abort is committed."""
        for call, known in self._calls.items():
            if known is future:
                self._launcher.events.attempt_said(self._key, [CancelCall(attempt_key=self._key, call=call)])

    def wait(self) -> None:
        """Say that there is nothing to do, now and after every answer."""
        self._only_waits = True
        self._launcher.events.attempt_said(self._key, [Waiting(attempt_key=self._key, told=len(self.told))])

    def heard(self, message: EngineToWorker) -> None:
        """Something from the engine."""
        if isinstance(message, Accepted):
            self.accepted.set()
        if isinstance(message, CallRefused):
            future = self._calls.get(message.call)
            if future is not None and not future.done():
                future.set_exception(Refused(message.message))
        if isinstance(message, ChildEnded):
            self.told.append(message)
            future = self._calls.get(message.call)
            if future is not None and not future.done():
                future.set_result(message.outcome)
            if self._only_waits:
                self.wait()


class ScriptedLauncher:
    """Plays attempts by the short name of their task."""

    def __init__(self, scripts: Mapping[str, Script]) -> None:
        self.events: LauncherEvents
        self.started: list[tuple[str, ActionId, int]] = []
        """Every attempt that was started: task, action, number."""
        self.stays = False
        """Whether attempts wait until their last word is committed, as those do that can outlive their engine."""
        self.live = 0
        self.most_live = 0
        self._scripts = scripts
        self._attempts: dict[AttemptKey, ScriptedAttempt] = {}
        self._tasks: dict[AttemptKey, asyncio.Task[None]] = {}

    def start(self, order: AttemptOrder) -> None:
        name = msgspec.msgpack.decode(order.start.spec_body, type=ActionSpec).short_name
        attempt = ScriptedAttempt(self, order.start)
        self.started.append((name, order.start.action, order.start.attempt))
        self._attempts[order.key] = attempt
        self._tasks[order.key] = asyncio.create_task(self._play(order.key, self._scripts[name], attempt))

    def adopt(self, key: AttemptKey) -> None:
        """No script outlives its engine."""

    def tell(self, key: AttemptKey, message: EngineToWorker) -> None:
        attempt = self._attempts.get(key)
        if attempt is not None:
            asyncio.get_running_loop().call_soon(attempt.heard, message)

    def end(self, key: AttemptKey, *, grace: float) -> None:
        task = self._tasks.get(key)
        if task is not None:
            # Not before its first step: a task that never began could not say that it is gone.
            asyncio.get_running_loop().call_soon(task.cancel)

    def idle(self, keys: Collection[AttemptKey]) -> set[AttemptKey]:
        return set()

    async def close(self) -> None:
        for key in list(self._tasks):
            self.end(key, grace=0)
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _play(self, key: AttemptKey, script: Script, attempt: ScriptedAttempt) -> None:
        self.live += 1
        self.most_live = max(self.most_live, self.live)
        ended = Exit(code=0)
        try:
            await asyncio.sleep(0)
            self.events.attempt_started(key, 1)
            outcome = await _outcome(script, attempt)
            self.events.attempt_said(key, [AttemptFinished(attempt_key=key, outcome=outcome)])
            await (attempt.accepted.wait() if self.stays else asyncio.sleep(0))
        except Lost:
            ended = Exit(signal=9)
        except asyncio.CancelledError:
            ended = Exit(signal=15)
        self.live -= 1
        del self._attempts[key]
        del self._tasks[key]
        self.events.attempt_gone(key, ended)


async def _outcome(script: Script, attempt: ScriptedAttempt) -> Outcome:
    try:
        return Succeeded(outputs=Inline(data=await script(attempt)))
    except ValueError as error:
        return Failed(failure=Failure(kind=FailureKind.USER, code="ValueError", message=str(error)))
