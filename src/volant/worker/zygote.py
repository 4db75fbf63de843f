"""A warm interpreter that has imported the user's code and forks workers from it.

One thread, one loop: it waits for the engine, for the end of a child and for the end of a grace period, and never for
anything else. When the engine is gone without a word it waits for the next one, for as long as it has forks. Forking is
what it is for, so nothing that a fork could do later is done before it, and nothing that can be done once is done per
fork.

`run_zygote` returns in nobody: the zygote leaves by `os._exit`, and so do its forks.
"""

import array
import gc
import io
import os
import select
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Callable
from types import FrameType
from typing import NamedTuple, NoReturn, assert_never

import msgspec

from volant.kit.framing import FrameReader, frames
from volant.kit.processes import become_subreaper, children, signal_trees
from volant.model.ids import AttemptKey
from volant.model.worker_protocol import (
    EndWorker,
    EngineToZygote,
    ForkWorker,
    LeaveZygote,
    PrepareZygote,
    StartAttempt,
    WorkerExited,
    WorkerForked,
    ZygoteFailed,
    ZygoteReady,
    ZygoteToEngine,
)
from volant.ports.blobs import Blobs
from volant.worker.forked import Fork, SignalState, Surroundings, be_worker
from volant.worker.guardian import Guardian
from volant.worker.idling import flush_output
from volant.worker.preparing import Preparation, prepare, resumed
from volant.worker.process import WorkerProcess
from volant.worker.randomness import Generators
from volant.worker.returning import ZygoteReturn
from volant.worker.warming import warm_up

_PIECE = 256 * 1024
_MAX_DESCRIPTORS = 253
"""The kernel's limit per message."""
_LEAVING_SECONDS = 5.0
"""How long a leaving zygote waits for processes that were killed; one in the kernel's hands may take forever."""
_FORK_ERROR = "cannot fork a worker"
_SHORT_OF_PROCESSES = 5.0
"""Seconds for which a fork is tried again that the system refuses for now: too many processes, or too little memory."""
_TRY_AGAIN = 0.05
"""Seconds between two tries, beside those when something has ended."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(EngineToZygote).decode
_decode_start = msgspec.msgpack.Decoder(StartAttempt).decode


def run_zygote(connection: socket.socket, *, open_blobs: Callable[[str], Blobs]) -> NoReturn:
    """Serve the engine at the other end of *connection*, a Unix stream socket, until it leaves or says to leave.

    *open_blobs* gives the store behind a URL; forks call it when a value is in the store.
    """
    code = 1
    try:
        become_subreaper()
        _prepare_streams()
        _Zygote(connection, open_blobs).serve()
        code = 0
    except BaseException as exc:  # noqa: BLE001  # the end of the program: nobody is left to tell but its log
        sys.excepthook(type(exc), exc, exc.__traceback__)
    finally:
        os._exit(code)


class _Zygote:
    def __init__(self, connection: socket.socket, open_blobs: Callable[[str], Blobs]) -> None:
        self._connection = connection
        self._open_blobs = open_blobs
        self._reader = FrameReader()
        self._frames: deque[bytes] = deque()
        self._descriptors: deque[int] = deque()
        self._postponed: deque[_Postponed] = deque()
        self._pid = os.getpid()
        self._outbox: list[ZygoteToEngine] = []
        self._unsent = b""
        self._preparation: Preparation | None = None
        self._guardian = Guardian()
        self._return: ZygoteReturn | None = None
        self._is_leaving = False
        self._signals: SignalState | None = None
        self._surroundings: Surroundings | None = None
        self._worker: WorkerProcess | None = None
        self._wakeup, self._wakeup_end = -1, -1

    def serve(self) -> None:
        """Until the engine says to leave, or is gone and none comes in time, and every worker is gone."""
        again = resumed(self._open_blobs)
        if again is not None:
            self._frames.extend(again.unread)
            self._descriptors.extend(again.descriptors)
            self._frames.extend(self._reader.feed(again.rest))
            self._prepared(again.preparation, Generators([], []))
        else:
            self._wait_for_preparation()
        while not self._is_leaving:
            self._turn()
        self._leave()

    def _wait_for_preparation(self) -> None:
        while self._preparation is None and not self._is_leaving:
            self._receive()
            while self._frames and self._preparation is None and not self._is_leaving:
                message = _decode(self._frames.popleft())
                match message:
                    case PrepareZygote():
                        self._prepare(message)
                    case LeaveZygote():
                        self._is_leaving = True
                    case ForkWorker() | EndWorker():
                        msg = f"found {type(message).__name__} before PrepareZygote"
                        raise RuntimeError(msg)
                    case _:
                        assert_never(message)

    def _prepare(self, message: PrepareZygote) -> None:
        found = prepare(
            message,
            open_blobs=self._open_blobs,
            keep=lambda: (self._connection.fileno(), self._reader.rest(), list(self._frames), list(self._descriptors)),
        )
        if isinstance(found, ZygoteFailed):
            self._outbox.append(found)
            self._flush_all()
            self._is_leaving = True
            return
        self._prepared(found.preparation, found.generators)

    def _prepared(self, preparation: Preparation, generators: Generators) -> None:
        self._preparation = preparation
        self._return = ZygoteReturn(preparation.order, imported=preparation.imported, warning=preparation.warning)
        self._guardian = Guardian(tolerated=children(os.getpid()))
        self._connection.setblocking(False)
        self._install_signals()
        self._outbox.append(ZygoteReady(imported=preparation.imported, warning=preparation.warning))
        self._flush()
        warm_up()
        # What is buffered at a fork would be written by both sides.
        flush_output()
        self._surroundings = Surroundings(generators)
        self._worker = WorkerProcess(preparation, open_blobs=self._open_blobs)
        # What is here now is shared with every fork; a collection in one of them must not touch it.
        gc.collect()
        gc.freeze()
        # What came together with the preparation.
        self._perform()
        self._flush()

    def _install_signals(self) -> None:
        self._wakeup, self._wakeup_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC) if _HAS_PIPE2 else _pipe()
        self._signals = SignalState.take(
            # Its forks may signal their parent, and it is the parent of others too. It leaves with its engine.
            dict.fromkeys((signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP), _notice),
            wakeup=self._wakeup_end,
        )

    # One turn: wait, hear, fork, reap, say.

    def _turn(self) -> None:
        poll = select.poll()
        poll.register(self._wakeup, select.POLLIN)
        is_alone = self._is_alone
        if not is_alone:
            poll.register(self._connection, select.POLLIN | (select.POLLOUT if self._unsent else 0))
        while not self._is_leaving:
            wait = self._seconds_to_wait()
            ready = dict(poll.poll(None if wait is None else wait * 1000 + 1))
            if self._wakeup in ready:
                _drain(self._wakeup)
            if is_alone:
                self._look_for_engine()
            elif ready.get(self._connection.fileno(), 0) & ~select.POLLOUT:
                self._receive()
                self._perform()
            self._reap()
            self._fork_postponed()
            was_blocked = bool(self._unsent)
            self._flush()
            if bool(self._unsent) != was_blocked or self._is_alone != is_alone:
                return

    @property
    def _is_alone(self) -> bool:
        return self._return is not None and self._return.is_on_its_way

    def _seconds_to_wait(self) -> float | None:
        waits = [self._guardian.seconds_until_next_kill(time.monotonic())]
        if self._return is not None:
            waits.append(self._return.seconds_until_next_try())
        if self._postponed:
            waits.append(_TRY_AGAIN)
        return min((wait for wait in waits if wait is not None), default=None)

    def _engine_is_gone(self) -> None:
        """Without a word: the next one may go on with what was forked."""
        self._unsent = b""
        self._outbox.clear()
        while self._postponed:
            # The next engine does not know of it.
            os.close(self._postponed.popleft().connection)
        if self._return is None or not self._return.engine_is_gone(time.monotonic()):
            self._is_leaving = True

    def _look_for_engine(self) -> None:
        assert self._return is not None
        if self._return.is_hopeless(time.monotonic()):
            self._is_leaving = True
            return
        connection = self._return.look()
        if connection is None:
            return
        connection.setblocking(False)
        self._connection.close()
        self._connection = connection
        self._reader = FrameReader()
        self._frames.clear()
        while self._descriptors:
            os.close(self._descriptors.popleft())

    def _reap(self) -> None:
        now = time.monotonic()
        ended = self._guardian.reap(now)
        self._guardian.kill_due(now)
        if self._return is not None:
            for each in ended:
                self._return.exited(each, now)
        if not self._is_alone:
            self._outbox += ended

    def _receive(self) -> None:
        try:
            piece, ancillary, flags, _address = self._connection.recvmsg(
                _PIECE, socket.CMSG_SPACE(_MAX_DESCRIPTORS * 4), _RECEIVE_FLAGS
            )
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            piece, ancillary, flags = b"", [], 0
        if flags & socket.MSG_CTRUNC:
            msg = "descriptors were lost on the way: this process may not open so many files"
            raise RuntimeError(msg)
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                found = array.array("i")
                found.frombytes(data[: len(data) - len(data) % found.itemsize])
                self._descriptors.extend(found)
        if not piece:
            self._engine_is_gone()
            return
        self._frames.extend(self._reader.feed(piece))

    def _perform(self) -> None:
        while self._frames and not self._is_leaving:
            message = _decode(self._frames.popleft())
            match message:
                case ForkWorker():
                    until = time.monotonic() + _SHORT_OF_PROCESSES
                    self._fork(_Postponed(message, self._descriptors.popleft(), until))
                case EndWorker(attempt_key=key) if self._withdraw(key):
                    pass
                case EndWorker(attempt_key=key, grace=grace):
                    self._guardian.end(key, grace=grace, now=time.monotonic())
                case LeaveZygote():
                    self._is_leaving = True
                case PrepareZygote():
                    msg = "found a second PrepareZygote"
                    raise RuntimeError(msg)
                case _:
                    assert_never(message)

    def _fork_postponed(self) -> None:
        for _ in range(len(self._postponed)):
            if not self._fork(self._postponed.popleft()):
                # Where there was no room for one there is none for the next.
                break

    def _withdraw(self, key: AttemptKey) -> bool:
        """Forget a fork that was postponed; whether it was."""
        for each in self._postponed:
            if each.order.attempt_key == key:
                self._postponed.remove(each)
                os.close(each.connection)
                self._outbox.append(_never_started(key))
                return True
        return False

    def _fork(self, wanted: "_Postponed") -> bool:
        """Whether there is no need to try it again."""
        assert self._signals is not None
        assert self._surroundings is not None
        assert self._worker is not None
        order, connection = wanted.order, wanted.connection
        start = _decode_start(order.start)
        self._worker.learn(start)
        slot, clean = self._guardian.reserve()
        # A SIGTERM for the worker that comes before it has its own handlers waits until it has.
        self._signals.block()
        try:
            pid = os.fork()
        except OSError as exc:
            self._signals.unblock()
            self._guardian.release(slot)
            if time.monotonic() < wanted.until:
                self._postponed.appendleft(wanted)
                return False
            os.close(connection)
            print(f"{_FORK_ERROR}: {exc}", file=sys.stderr, flush=True)
            self._outbox.append(_never_started(order.attempt_key, exc.errno))
            return True
        if pid == 0:
            be_worker(
                Fork(
                    order=order,
                    start=start,
                    connection=connection,
                    foreign=(
                        self._connection.fileno(),
                        self._wakeup,
                        self._wakeup_end,
                        *self._descriptors,
                        *(each.connection for each in self._postponed),
                    ),
                    clean=clean,
                    signals=self._signals,
                    surroundings=self._surroundings,
                    worker=self._worker,
                    zygote=self._pid,
                )
            )
        self._signals.unblock()
        os.close(connection)
        self._guardian.add(order.attempt_key, pid, slot)
        if self._return is not None:
            self._return.forked(start, pid)
        self._outbox.append(WorkerForked(attempt_key=order.attempt_key, pid=pid))
        return True

    def _flush(self) -> None:
        if self._is_alone:
            # What the next engine has to know it is told in one.
            self._outbox.clear()
            return
        if self._outbox:
            self._unsent += frames([_encode(message) for message in self._outbox])
            self._outbox.clear()
        while self._unsent:
            try:
                sent = self._connection.send(self._unsent)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                # What it said last may still be unread; the reading side notices that it is gone.
                self._unsent = b""
                return
            self._unsent = self._unsent[sent:]

    def _flush_all(self) -> None:
        self._connection.setblocking(True)
        self._flush()

    def _leave(self) -> None:
        """Kill every tree and what the user's modules started, and wait until nothing is left."""
        until = time.monotonic() + _LEAVING_SECONDS
        self._guardian.end_all(now=time.monotonic())
        while not self._guardian.is_idle and time.monotonic() < until:
            self._reap()
            time.sleep(0.002)
        signal_trees(children(os.getpid()))
        self._flush()


_HAS_PIPE2 = hasattr(os, "pipe2")
_RECEIVE_FLAGS = getattr(socket, "MSG_CMSG_CLOEXEC", 0)


class _Postponed(NamedTuple):
    """A fork that is wanted, and until when it is tried."""

    order: ForkWorker
    connection: int
    until: float


def _never_started(key: AttemptKey, error: int | None = None) -> WorkerExited:
    return WorkerExited(attempt_key=key, exit_code=None, signal=None, cpu_seconds=0.0, peak_memory=0, not_forked=error)


def _notice(_number: int, _frame: FrameType | None) -> None:
    """The wake-up descriptor has said it already."""


def _drain(descriptor: int) -> None:
    try:
        os.read(descriptor, 4096)
    except BlockingIOError:
        return


def _pipe() -> tuple[int, int]:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    return reading, writing


def _prepare_streams() -> None:
    """Reading gives the end at once; what is printed is seen at once, and never fails for what it contains."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    if nothing != 0:
        os.dup2(nothing, 0)
        os.close(nothing)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
