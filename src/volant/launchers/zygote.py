"""One zygote as the engine sees it: a process that was told what to import, and the workers it forked.

Attempts that come while the code is being imported wait here, not there: one that is ended meanwhile never starts,
however long the import takes.
"""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Protocol, assert_never

import msgspec

from volant.decide.exits import failure_of, failure_to_start
from volant.kit.framing import FrameError
from volant.kit.processes import kill_tree
from volant.launchers.framed_socket import FramedSocket
from volant.launchers.lifelines import Lifeline
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
_LEAVING = 8.0
"""Seconds that a zygote has to end its workers and itself when it was told to."""
_DYING = 1.0
"""Seconds that it has when its connection ended, or it does not speak the protocol."""
_POLL = 0.002
"""Seconds between the first two looks whether it is gone; doubled with each one."""
_LONGEST_POLL = 0.05


class ZygoteEvents(Protocol):
    """What a zygote tells its launcher, never from within a call to the zygote."""

    def worker_started(self, key: AttemptKey, pid: int) -> None: ...
    def worker_said(self, key: AttemptKey, messages: Sequence[WorkerToEngine]) -> None: ...
    def worker_refused(self, key: AttemptKey, failure: Failure) -> None: ...
    def worker_gone(self, key: AttemptKey, ended: Exit) -> None: ...
    def zygote_warned(self, key: AttemptKey, message: str) -> None: ...
    def zygote_closed(self, zygote: "Zygote") -> None:
        """It takes no more orders: it fails to import, leaves, or is dying."""
        ...

    def zygote_gone(self, zygote: "Zygote") -> None:
        """Its process is gone, and all attempts it had were reported as gone."""
        ...


class _Worker:
    __slots__ = ("connection", "pid")

    def __init__(self, connection: FramedSocket) -> None:
        self.connection = connection
        self.pid: int | None = None


class Zygote:
    """A warm interpreter of one environment."""

    def __init__(
        self,
        order: AttemptOrder,
        *,
        log: Path,
        events: ZygoteEvents,
        end_orphans: Callable[[], Awaitable[bool]],
        lifeline: Lifeline,
    ) -> None:
        """Start the interpreter that *order* needs; what it prints while importing goes to *log*.

        *end_orphans* kills what it leaves behind should it die before its workers; *lifeline* tells the next engine
        when all of them are gone.

        Raises:
            OSError: it cannot be started.
        """
        self.environment = order.environment
        self.label = order.label
        self.is_imported = False
        self._loop = asyncio.get_running_loop()
        self.last_used = self._loop.time()
        self._events = events
        self._end_orphans = end_orphans
        self._waiting: dict[AttemptKey, AttemptOrder] = {}
        """Until the code is imported."""
        self._workers: dict[AttemptKey, _Worker] = {}
        self._is_ready = False
        self._is_closed = False
        self._warning: str | None = None
        self._log = log
        ours, theirs = socket.socketpair()
        try:
            self._process = _start(order, theirs, log, lifeline)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        self._connection = FramedSocket(ours, on_frames=self._heard, on_end=self._disconnected)
        self._burial: asyncio.Task[None] | None = None
        self._say(PrepareZygote(code=order.code, modules=order.code.modules, blobs=order.start.context.blobs))

    @property
    def pid(self) -> int:
        """Process id of the interpreter."""
        return self._process.pid

    @property
    def forks(self) -> int:
        """Attempts that are not gone."""
        return len(self._workers) + len(self._waiting)

    @property
    def workers(self) -> dict[AttemptKey, int]:
        """Attempts that have a process, and its id."""
        return {key: worker.pid for key, worker in self._workers.items() if worker.pid is not None}

    def start(self, order: AttemptOrder) -> None:
        """Fork a worker once the code is imported.

        Raises:
            OSError: there is no socket for it.
        """
        self.last_used = self._loop.time()
        if not self._is_ready:
            self._waiting[order.key] = order
            return
        self._fork(order)
        if self._warning is not None:
            self._loop.call_soon(self._events.zygote_warned, order.key, self._warning)

    def tell(self, key: AttemptKey, message: EngineToWorker) -> None:
        """Say something to a worker."""
        worker = self._workers.get(key)
        if worker is not None:
            worker.connection.send(_encode(message))

    def end(self, key: AttemptKey, *, grace: float) -> None:
        """End a worker's process tree."""
        if key in self._workers:
            self.wake()
            self._say(EndWorker(attempt_key=key, grace=grace))
        elif self._waiting.pop(key, None) is not None:
            self._loop.call_soon(self._events.worker_gone, key, Exit())
            if not self._waiting and not self._is_ready:
                self._loop.call_soon(self._give_up_import)

    def pid_of(self, key: AttemptKey) -> int | None:
        """Process id of a worker, once it has one."""
        worker = self._workers.get(key)
        return None if worker is None else worker.pid

    def leave(self) -> None:
        """Ask it to end; its workers are killed. `zygote_gone` follows within bounds."""
        self._is_closed = True
        if self._is_ready:
            self.wake()
            self._say(LeaveZygote())
            self._bury(within=_LEAVING)
        else:
            # It imports and hears nothing.
            self._bury(within=0)

    async def until_gone(self) -> None:
        """Return when the process is gone, after `leave`."""
        if self._burial is not None:
            await asyncio.shield(self._burial)

    def wake(self) -> None:
        """Let it go on: one of its forks may have stopped it, and nothing could be ended then."""
        # Not waited for before it is buried, so that the number is nobody else's.
        if self._burial is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGCONT)

    # What is heard

    def _say(self, message: EngineToZygote) -> None:
        self._connection.send(_encode(message))

    def _heard(self, bodies: list[bytes]) -> None:
        for body in bodies:
            try:
                message = _decode_zygote(body)
            except msgspec.MsgspecError:
                # User code wrote to the socket while it was imported.
                self._kill()
                return
            match message:
                case WorkerForked(attempt_key=key, pid=pid):
                    worker = self._workers.get(key)
                    if worker is not None:
                        worker.pid = pid
                        self._events.worker_started(key, pid)
                case WorkerExited():
                    self._exited(message)
                case ZygoteReady(imported=imported, warning=warning):
                    self._ready(imported=imported, warning=warning)
                case ZygoteFailed(failure=failure):
                    self._close()
                    self._refuse_waiting(failure)
                    self._bury(within=_LEAVING)
                case _:
                    assert_never(message)

    def _ready(self, *, imported: bool, warning: str | None) -> None:
        self._is_ready = True
        self.is_imported = imported
        self._warning = warning
        waiting = list(self._waiting.values())
        self._waiting.clear()
        for order in waiting:
            try:
                self._fork(order)
            except OSError as error:
                self._refuse(order.key, failure_to_start(error.errno, type(error).__name__, str(error)))
                continue
            if warning is not None:
                self._events.zygote_warned(order.key, warning)

    def _fork(self, order: AttemptOrder) -> None:
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

        def disconnected(error: FrameError | None) -> None:
            # That it closed its end says nothing; that it is gone its zygote says.
            if error is not None:
                self.end(key, grace=0)

        self._workers[key] = _Worker(FramedSocket(ours, on_frames=said, on_end=disconnected))
        fork = ForkWorker(attempt_key=key, log=order.log, start=_encode(order.start))
        self._connection.send(_encode(fork), descriptor=theirs.detach())

    def _exited(self, message: WorkerExited) -> None:
        if message.not_forked is not None and message.attempt_key in self._workers:
            failure = failure_to_start(message.not_forked, "OSError", os.strerror(message.not_forked))
            self._events.worker_refused(message.attempt_key, failure)
        ended = Exit(
            code=message.exit_code,
            signal=message.signal,
            cpu_seconds=message.cpu_seconds,
            peak_memory=message.peak_memory,
        )
        self._gone(message.attempt_key, ended)

    def _gone(self, key: AttemptKey, ended: Exit) -> None:
        worker = self._workers.get(key)
        if worker is None:
            return
        # The worker's last words may still be in its socket.
        worker.connection.drain()
        worker.connection.close()
        del self._workers[key]
        self._events.worker_gone(key, ended)

    def _refuse(self, key: AttemptKey, failure: Failure) -> None:
        self._events.worker_refused(key, failure)
        self._events.worker_gone(key, Exit())

    def _refuse_waiting(self, failure: Failure) -> None:
        waiting = list(self._waiting)
        self._waiting.clear()
        for key in waiting:
            self._refuse(key, failure)

    # Its end

    def _close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._events.zygote_closed(self)

    def _kill(self) -> None:
        self._close()
        self._bury(within=0)

    def _disconnected(self, error: FrameError | None) -> None:
        self._close()
        self._bury(within=_DYING if error is None else 0)

    def _give_up_import(self) -> None:
        """Nobody needs what it imports, and it may never come to an end."""
        if not self._waiting and not self._is_ready:
            self._kill()

    def _bury(self, *, within: float) -> None:
        if within == 0:
            kill_tree(self._process.pid)
        if self._burial is None:
            self._burial = self._loop.create_task(self._wait_and_report(within), name=f"zygote {self._process.pid}")

    async def _wait_and_report(self, seconds: float) -> None:
        """Its workers are gone only when it is: until then it may still say how they ended."""
        until = self._loop.time() + seconds
        pause = _POLL
        while (code := self._process.poll()) is None:
            if self._loop.time() > until:
                kill_tree(self._process.pid)
            await asyncio.sleep(pause)
            pause = min(_LONGEST_POLL, pause * 2)
        self._connection.drain()
        self._connection.close()
        self._close()
        await self._end_orphans()
        if self._waiting:
            self._report_waiting(code)
        for key in list(self._workers):
            self._gone(key, Exit())
        self._events.zygote_gone(self)

    def _report_waiting(self, code: int) -> None:
        """It died while it imported the code."""
        ended = Exit(code=code) if code >= 0 else Exit(signal=-code)
        if failure_of(ended).kind is FailureKind.USER:
            self._refuse_waiting(self._import_crashed(ended))
            return
        waiting = list(self._waiting)
        self._waiting.clear()
        for key in waiting:
            self._events.worker_gone(key, ended)

    def _import_crashed(self, ended: Exit) -> Failure:
        return Failure(
            kind=FailureKind.USER,
            code="ImportCrashed",
            message=f"the process that imports your code ended with {_status(ended)} while it did; its output:\n"
            + _tail(self._log),
            exit_code=ended.code,
            signal=ended.signal,
            retryable=False,
        )


def _start(order: AttemptOrder, theirs: socket.socket, log: Path, lifeline: Lifeline) -> "subprocess.Popen[bytes]":
    # What an earlier zygote of this environment printed is of no interest any more.
    with contextlib.ExitStack() as stack:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
        stack.callback(os.close, descriptor)
        alive = lifeline.open()
        stack.callback(os.close, alive)
        process = subprocess.Popen(
            [order.code.interpreter, "-P", "-c", BOOT, order.code.package_root, str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            cwd=_existing(order.code.cwd),
            env=dict(order.environ),
            pass_fds=(theirs.fileno(), alive),
            start_new_session=True,
        )
        lifeline.note(alive, process.pid)
        return process


def _status(ended: Exit) -> str:
    return f"exit code {ended.code}" if ended.signal is None else signal.Signals(ended.signal).name


def _existing(folder: str) -> str | None:
    return folder if os.path.isdir(folder) else None


def _tail(log: Path, *, size: int = 2000) -> str:
    with log.open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - size))
        return file.read().decode(errors="replace")
