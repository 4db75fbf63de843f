"""What every fork will do, done a few times before the first fork.

A page of memory that a fork writes to is copied, for a few microseconds each, and Python writes wherever it runs:
the first runs of a function rewrite its bytecode for what it meets, the first look at an attribute fills the type's
cache, the first call of a C function binds its symbol. All that happens here once, and forks find it done.
"""

import asyncio
import contextvars
import socket
from datetime import UTC, datetime
from typing import NoReturn

import msgspec

from volant.authoring.environment import TaskEnvironment
from volant.authoring.registry import default_registry
from volant.authoring.session import ambient
from volant.model.code import CodeSource
from volant.model.ids import ActionId, AttemptKey, RunId, SpecDigest
from volant.model.payloads import Inline
from volant.model.worker_protocol import PrepareZygote, Rejoining, RunContext, StartAttempt
from volant.ports.blobs import Blobs
from volant.worker.idling import flush_output
from volant.worker.preparing import Preparation
from volant.worker.process import ACCEPTED, WorkerProcess, forget_process

_ROUNDS = 10
"""The interpreter specialises a function's bytecode at about its eighth run."""

with default_registry.isolated():
    _env = TaskEnvironment(name="warming")

    @_env.task
    async def _async_task(number: int, name: str = "warm") -> int:
        return number

    @_env.task
    async def _waiting_task(number: int) -> int:
        await asyncio.sleep(0)
        return number

    @_env.task
    def _sync_task(number: int) -> str:
        return str(number)


def warm_up() -> None:
    """Execute a trivial task of each kind, several times, with only the last word answered."""
    preparation = Preparation(order=_ORDER, imported=True)
    for task in (_async_task, _waiting_task, _sync_task):
        body = msgspec.msgpack.encode(task.spec())
        inputs = Inline(data=task.interface.encode_inputs({"number": 1}).data)
        for _ in range(_ROUNDS):
            start = _decode(msgspec.msgpack.encode(_start(body, inputs)))
            contextvars.copy_context().run(_execute, start, preparation)
    ambient.session = None
    forget_process()


_decode = msgspec.msgpack.Decoder(StartAttempt).decode
_ORDER = PrepareZygote(
    code=CodeSource(interpreter="", package_root="", sys_path=(), cwd="", digest=""),
    rejoining=Rejoining(home="", socket="", window=0.0, environment="", label=""),
)


def _execute(start: StartAttempt, preparation: Preparation) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        # The answer to what it will say last is there already.
        theirs.send(ACCEPTED)
        process = WorkerProcess(preparation, open_blobs=_no_blobs)
        process.learn(start)
        process.open(start, ours.fileno())
        process.work(leave=flush_output)


def _start(body: bytes, inputs: Inline) -> StartAttempt:
    context = RunContext(
        run=RunId("warming"), mode="local", created_at=datetime.now(UTC), raw_data_path="", home="", blobs=""
    )
    return StartAttempt(
        attempt_key=AttemptKey(0),
        context=context,
        action=ActionId("0" * 32),
        parent=None,
        attempt=0,
        spec=SpecDigest(""),
        spec_body=body,
        inputs=inputs,
    )


def _no_blobs(_url: str) -> Blobs:
    return _raise()


def _raise() -> NoReturn:
    msg = "the tasks that warm a zygote have no large values"
    raise AssertionError(msg)
