"""One zygote as the engine sees it: a process that was told what to import, and the workers it forked.

One that an earlier engine started comes with workers of its own. They are heard once somebody goes on with their runs.

Attempts that come while the code is being imported wait here, not there: one that is ended meanwhile never starts,
however long the import takes.
"""

import asyncio
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Protocol, assert_never

import msgspec

from volant.decide.exits import failure_of, failure_to_start
from volant.kit.framing import FrameError
from volant.kit.processes import kill_tree
from volant.launchers.framed_socket import FramedSocket
from volant.launchers.interpreters import Interpreter, start_interpreter
from volant.launchers.lifelines import Lifeline
from volant.model.exits import Exit
from volant.model.failures import Failure, FailureKind
from volant.model.ids import AttemptKey
from volant.model.worker_protocol import (
    EndWorker,
    EngineToWorker,
    EngineToZygote,
    ForkedAttempt,
    ForkWorker,
    LeaveZygote,
    PrepareZygote,
    Rejoined,
    Rejoining,
    Resync,
    WorkerExited,
    WorkerForked,
    WorkerToEngine,
    ZygoteFailed,
    ZygoteReady,
    ZygoteReturned,
    ZygoteToEngine,
)
from volant.ports.launcher import AttemptOrder

_encode = msgspec.msgpack.Encoder().encode
_decode_zygote = msgspec.msgpack.Decoder(ZygoteToEngine).decode
_decode_worker = msgspec.msgpack.Decoder(WorkerToEngine).decode

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
    __slots__ = ("connection", "has_rejoined", "is_wanted", "label", "pid")

    def __init__(self, connection: FramedSocket | None, label: str) -> None:
        self.connection = connection
        """None: its engine is gone, and it has not returned."""
        self.label = label
        """As its descendants carry it in their environment, up to the process."""
        self.pid: int | None = None
        self.is_wanted = True
        """Whether somebody goes on with its run."""
        self.has_rejoined = True


class Zygote:
    """A warm interpreter of one environment."""

    def __init__(
        self,
        process: Interpreter,
        *,
        environment: str,
        label: str,
        log: Path,
        events: ZygoteEvents,
        end_orphans: Callable[[Sequence[str]], Awaitable[bool]],
    ) -> None:
        """*log* is where it prints; *end_orphans* kills what it leaves behind should it die before its workers, and is
        given their labels."""
        self.environment = environment
        self.label = label
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
        self._process = process
        self._connection: FramedSocket
        self._burial: asyncio.Task[None] | None = None

    @classmethod
    def started(
        cls,
        order: AttemptOrder,
        *,
        log: Path,
        events: ZygoteEvents,
        end_orphans: Callable[[Sequence[str]], Awaitable[bool]],
        lifeline: Lifeline,
        rejoining: Rejoining | None,
    ) -> "Zygote":
        """Start the interpreter that *order* needs; *lifeline* tells the next engine when it and its forks are gone,
        and *rejoining* tells them where that engine is.

        Raises:
            OSError: it cannot be started.
        """
        ours, theirs = socket.socketpair()
        try:
            process = start_interpreter(order, theirs, log, lifeline)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        zygote = cls(
            process,
            environment=order.environment,
            label=order.label,
            log=log,
            events=events,
            end_orphans=end_orphans,
        )
        zygote._connection = FramedSocket(ours, on_frames=zygote._heard, on_end=zygote._disconnected)
        code = order.code
        blobs = order.start.context.blobs
        zygote._say(PrepareZygote(code=code, modules=code.modules, blobs=blobs, rejoining=rejoining))
        return zygote

    @classmethod
    def found(
        cls,
        returned: ZygoteReturned,
        process: Interpreter,
        connection: FramedSocket,
        *,
        log: Path,
        events: ZygoteEvents,
        end_orphans: Callable[[Sequence[str]], Awaitable[bool]],
    ) -> "Zygote":
        """One that outlived its engine and speaks over *connection*."""
        rejoining = returned.rejoining
        zygote = cls(
            process,
            environment=rejoining.environment,
            label=rejoining.label,
            log=log,
            events=events,
            end_orphans=end_orphans,
        )
        zygote._connection = connection
        zygote.is_imported = returned.imported
        zygote._warning = returned.warning
        zygote._is_ready = True
        for fork in returned.forks:
            worker = zygote._workers[fork.attempt_key] = _Worker(None, label_of(fork))
            worker.pid = fork.pid
            worker.is_wanted = worker.has_rejoined = False
        connection.hand_over(on_frames=zygote._heard, on_end=zygote._disconnected)
        return zygote

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
        if worker is not None and worker.connection is not None:
            worker.connection.send(_encode(message))

    def go_on(self, key: AttemptKey) -> None:
        """Let a worker that came with this zygote speak, now or when it returns."""
        worker = self._workers.get(key)
        if worker is not None:
            worker.is_wanted = True
            if worker.connection is not None:
                worker.connection.send(_encode(Resync()))

    def attach(self, key: AttemptKey, pid: int, connection: FramedSocket) -> bool:
        """A process says that it is the worker of an attempt; whether it is one that had to return."""
        worker = self._workers.get(key)
        if worker is None or worker.has_rejoined or worker.pid != pid:
            return False
        if worker.connection is not None:
            worker.connection.close()
        worker.connection = connection
        connection.hand_over(on_frames=self._hearing(key), on_end=self._worker_left(key))
        if worker.is_wanted:
            connection.send(_encode(Resync()))
        return True

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
        if self._burial is None:
            self._process.send_signal(signal.SIGCONT)

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
        start = order.start
        label = f"{start.context.run}/{start.action}/{start.attempt}/"
        connection = FramedSocket(ours, on_frames=self._hearing(key), on_end=self._worker_left(key))
        self._workers[key] = _Worker(connection, label)
        fork = ForkWorker(attempt_key=key, log=order.log, start=_encode(start))
        self._connection.send(_encode(fork), descriptor=theirs.detach())

    def _hearing(self, key: AttemptKey) -> Callable[[list[bytes]], None]:
        def said(bodies: list[bytes]) -> None:
            try:
                messages = [_decode_worker(body) for body in bodies]
            except msgspec.MsgspecError:
                # User code wrote to the socket; its attempt ends without an outcome.
                self.end(key, grace=0)
                return
            worker = self._workers.get(key)
            if worker is not None and not worker.has_rejoined:
                worker.has_rejoined = any(isinstance(message, Rejoined) for message in messages)
            self._events.worker_said(key, messages)

        return said

    def _worker_left(self, key: AttemptKey) -> Callable[[FrameError | None], None]:
        def disconnected(error: FrameError | None) -> None:
            # That it closed its end says nothing; that it is gone its zygote says.
            if error is not None:
                self.end(key, grace=0)

        return disconnected

    def _exited(self, message: WorkerExited) -> None:
        if message.not_forked is not None and message.attempt_key in self._workers:
            failure = failure_to_start(message.not_forked, "OSError", os.strerror(message.not_forked))
            self._events.worker_refused(message.attempt_key, failure)
        self._gone(message.attempt_key, exit_of(message))

    def _gone(self, key: AttemptKey, ended: Exit) -> None:
        worker = self._workers.get(key)
        if worker is None:
            return
        # The worker's last words may still be in its socket.
        if worker.connection is not None:
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
        if within == 0 and self._process.poll() is None:
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
        await self._end_orphans([worker.label for worker in self._workers.values()])
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


def exit_of(ended: WorkerExited) -> Exit:
    """How an attempt's process ended, as the engine's rules read it."""
    return Exit(code=ended.exit_code, signal=ended.signal, cpu_seconds=ended.cpu_seconds, peak_memory=ended.peak_memory)


def label_of(fork: ForkedAttempt) -> str:
    """What names an attempt in the environment of its descendants, up to the number of its process."""
    return f"{fork.run}/{fork.action}/{fork.attempt}/"


def _status(ended: Exit) -> str:
    return f"exit code {ended.code}" if ended.signal is None else signal.Signals(ended.signal).name


def _tail(log: Path, *, size: int = 2000) -> str:
    with log.open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - size))
        return file.read().decode(errors="replace")
