"""One zygote as the engine sees it: a process that was told what to import, and the workers it forked."""

import asyncio
import os
import signal
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, assert_never

import msgspec

from volant.kit.processes import kill_tree
from volant.launchers.framed_socket import FramedSocket
from volant.model.exits import Exit
from volant.model.failures import Failure, FailureKind
from volant.model.ids import AttemptKey
from volant.model.worker_protocol import (
    EndWorker,
    EngineToWorker,
    EngineToZygote,
    ForkWorker,
    LeaveZygote,
    PrepareZygote,
    WorkerExited,
    WorkerForked,
    WorkerToEngine,
    ZygoteFailed,
    ZygoteReady,
    ZygoteToEngine,
)
from volant.ports.launcher import AttemptOrder

_encode = msgspec.msgpack.Encoder().encode
_decode_zygote = msgspec.msgpack.Decoder(ZygoteToEngine).decode
_decode_worker = msgspec.msgpack.Decoder(WorkerToEngine).decode

BOOT = "import sys; sys.path.append(sys.argv[1]); from volant.wiring.zygote import main; main(int(sys.argv[2]))"
"""What a zygote's interpreter runs: the package may be on its path or in the folder that is named."""


class ZygoteEvents(Protocol):
    """What a zygote tells its launcher."""

    def worker_started(self, key: AttemptKey, pid: int) -> None: ...
    def worker_said(self, key: AttemptKey, messages: Sequence[WorkerToEngine]) -> None: ...
    def worker_refused(self, key: AttemptKey, failure: Failure) -> None: ...
    def worker_gone(self, key: AttemptKey, ended: Exit) -> None: ...
    def zygote_warned(self, key: AttemptKey, message: str) -> None: ...
    def zygote_gone(self, zygote: "Zygote") -> None: ...


class _Worker:
    __slots__ = ("connection", "pid")

    def __init__(self, connection: FramedSocket) -> None:
        self.connection = connection
        self.pid: int | None = None


class Zygote:
    """A warm interpreter of one environment."""

    def __init__(self, order: AttemptOrder, *, log: Path, events: ZygoteEvents) -> None:
        """Start the interpreter that *order* needs; what it prints while importing goes to *log*."""
        self.environment = order.environment
        self.label = order.label
        self.is_imported = False
        self.last_used = asyncio.get_running_loop().time()
        self._events = events
        self._workers: dict[AttemptKey, _Worker] = {}
        self._failure: Failure | None = None
        self._warning: str | None = None
        self._is_gone = False
        self._log = log
        ours, theirs = socket.socketpair()
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [order.code.interpreter, "-P", "-c", BOOT, order.code.package_root, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=_existing(order.code.cwd),
                env=dict(order.environ),
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        theirs.close()
        self._connection = FramedSocket(ours, on_frames=self._heard, on_end=self._ended)
        self._say(PrepareZygote(code=order.code, modules=order.code.modules, grace_period=order.grace))

    @property
    def pid(self) -> int:
        """Process id of the interpreter."""
        return self._process.pid

    @property
    def forks(self) -> int:
        """Workers that are not gone."""
        return len(self._workers)

    def start(self, order: AttemptOrder) -> None:
        """Fork a worker once the code is imported."""
        self.last_used = asyncio.get_running_loop().time()
        ours, theirs = socket.socketpair()
        key = order.key

        def said(bodies: list[bytes]) -> None:
            try:
                messages = [_decode_worker(body) for body in bodies]
            except msgspec.MsgspecError:
                # User code wrote to the socket; its attempt ends without an outcome.
                self.end(key, grace=0)
                return
            self._events.worker_said(key, messages)

        self._workers[key] = _Worker(FramedSocket(ours, on_frames=said, on_end=lambda: None))
        fork = ForkWorker(attempt_key=key, log=order.log, start=_encode(order.start))
        self._connection.send(_encode(fork), descriptor=theirs.detach())
        if self._failure is not None:
            self._refuse(key, self._failure)
        elif self._warning is not None:
            self._events.zygote_warned(key, self._warning)

    def tell(self, key: AttemptKey, message: EngineToWorker) -> None:
        """Say something to a worker."""
        worker = self._workers.get(key)
        if worker is not None:
            worker.connection.send(_encode(message))

    def end(self, key: AttemptKey, *, grace: float) -> None:
        """End a worker's process tree."""
        if key in self._workers:
            self._say(EndWorker(attempt_key=key, grace=grace))

    def pid_of(self, key: AttemptKey) -> int | None:
        """Process id of a worker, once it has one."""
        worker = self._workers.get(key)
        return None if worker is None else worker.pid

    def leave(self) -> None:
        """Ask it to end; its workers are killed."""
        self._say(LeaveZygote())

    async def wait(self, seconds: float) -> None:
        """Return when the process is gone; kill it after *seconds*."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while self._process.poll() is None:
            if loop.time() > until:
                kill_tree(self._process.pid)
            await asyncio.sleep(0.005)

    def _say(self, message: EngineToZygote) -> None:
        self._connection.send(_encode(message))

    def _heard(self, bodies: list[bytes]) -> None:
        for body in bodies:
            message = _decode_zygote(body)
            match message:
                case WorkerForked(attempt_key=key, pid=pid):
                    worker = self._workers.get(key)
                    if worker is not None:
                        worker.pid = pid
                        self._events.worker_started(key, pid)
                case WorkerExited():
                    self._exited(message)
                case ZygoteReady(imported=imported, warning=warning):
                    self.is_imported = imported
                    self._warning = warning
                    if warning is not None:
                        for key in list(self._workers):
                            self._events.zygote_warned(key, warning)
                case ZygoteFailed(failure=failure):
                    self._failure = failure
                    for key in list(self._workers):
                        self._refuse(key, failure)
                case _:
                    assert_never(message)

    def _exited(self, message: WorkerExited) -> None:
        key = message.attempt_key
        worker = self._workers.get(key)
        if worker is None:
            return
        # The worker's last words may still be in its socket.
        worker.connection.drain()
        worker.connection.close()
        del self._workers[key]
        ended = Exit(
            code=message.exit_code,
            signal=message.signal,
            cpu_seconds=message.cpu_seconds,
            peak_memory=message.peak_memory,
        )
        self._events.worker_gone(key, ended)

    def _refuse(self, key: AttemptKey, failure: Failure) -> None:
        worker = self._workers.pop(key)
        worker.connection.close()
        loop = asyncio.get_running_loop()

        def say() -> None:
            self._events.worker_refused(key, failure)
            self._events.worker_gone(key, Exit())

        loop.call_soon(say)

    def _ended(self) -> None:
        """The zygote is gone, and nobody guards its workers any more."""
        if self._is_gone:
            return
        self._is_gone = True
        code = _exit_status(self._process)
        for key, worker in list(self._workers.items()):
            if worker.pid is None:
                del self._workers[key]
                worker.connection.close()
                if not self.is_imported and self._warning is None and code not in (None, 0):
                    self._events.worker_refused(key, self._died(code))
                self._events.worker_gone(key, Exit())
                continue
            worker.connection.drain()
            kill_tree(worker.pid)
            worker.connection.drain()
            worker.connection.close()
            del self._workers[key]
            self._events.worker_gone(key, Exit())
        self._events.zygote_gone(self)

    def _died(self, code: int | None) -> Failure:
        return Failure(
            kind=FailureKind.USER,
            code="ImportCrashed",
            message=f"the process that imports your code ended with {_status(code)} while it did; its output:\n"
            + _tail(self._log),
            retryable=False,
        )


def _existing(folder: str) -> str | None:
    return folder if os.path.isdir(folder) else None


def _exit_status(process: subprocess.Popen[bytes]) -> int | None:
    try:
        return process.wait(timeout=1)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        return process.wait()


def _status(code: int | None) -> str:
    if code is not None and code < 0:
        return signal.Signals(-code).name
    return f"exit code {code}"


def _tail(log: Path, *, size: int = 2000) -> str:
    with log.open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - size))
        return file.read().decode(errors="replace")
