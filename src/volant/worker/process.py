"""A worker's process: one attempt, and the connection over which it talks to the engine, or to the next one.

The main thread reads the connection itself, when it has nothing else to do. Only when user code makes a call from
another thread, or from an event loop of its own, somebody has to read while the main thread does something else: from
then on a thread of ours reads.

When the engine dies, whoever reads looks for the next one; on the main thread's event loop, which must go on meanwhile,
that is left to the thread. What is said until then is dropped: the next engine is told everything that has no answer.
"""

import asyncio
import contextlib
import errno
import os
import socket
import threading
import weakref
from collections.abc import Callable, Sequence

import msgspec

from volant.authoring.session import ambient, current
from volant.kit.framing import FrameReader, frame, frames
from volant.model.failures import Failure
from volant.model.ids import AttemptKey
from volant.model.worker_protocol import (
    Accepted,
    Acknowledged,
    AttemptFinished,
    CallRefused,
    ChildEnded,
    EngineToWorker,
    Failed,
    Outcome,
    StartAttempt,
    WorkerToEngine,
)
from volant.ports.blobs import Blobs
from volant.worker.attempt import Attempt, KnownTasks
from volant.worker.calls import Call, Caller, Line, Settable, has_answer
from volant.worker.failing import AttemptFailure, system_failure_of
from volant.worker.idling import flush_output, is_alone
from volant.worker.loops import LoopInbox, WorkerLoop
from volant.worker.preparing import Preparation, import_code, import_failure
from volant.worker.returning import return_worker

_PIECE = 256 * 1024
CONNECTION_LOST = 71
"""Exit code of a worker whose connection is gone: closed by user code, or by an engine that died."""

_SMALL_PIECE = 256
"""Bytes: what is read when nothing but the end is awaited. Memory is not for nothing in a fork."""

_decode = msgspec.msgpack.Decoder(EngineToWorker).decode
ACCEPTED = frame(msgspec.msgpack.encode(Accepted()))
"""As it arrives."""


class WorkerProcess:
    """The host of the only attempt of a process.

    A zygote makes it before it forks, so that a fork finds all that does not depend on the attempt.
    """

    def __init__(self, preparation: Preparation, *, open_blobs: Callable[[str], Blobs]) -> None:
        self.line = Line(self._write)
        self.caller = Caller(AttemptKey(0))
        self._preparation = preparation
        self._open_blobs = open_blobs
        self._known = KnownTasks()
        self._loop = WorkerLoop(self, self.caller)
        self._start: StartAttempt
        self._descriptor = -1
        self._zygote = -1
        self._reader = FrameReader()
        self._unsent = bytearray()
        self._main = threading.get_ident()
        self._switching = threading.Lock()
        self._main_reads = False
        self._others_wait = False
        self._thread_reads = False
        self._rejoining = preparation.order.rejoining
        self._is_cut_off = False
        """The connection has ended, and there is no other yet."""
        self._last_word: AttemptFinished | None = None
        self._is_accepted = False
        self._acceptance: threading.Event | None = None
        """For the main thread, where another one reads."""
        self._inboxes: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, LoopInbox] = weakref.WeakKeyDictionary()

    def learn(self, start: StartAttempt) -> None:
        """In the zygote: find the task of an attempt that is about to be forked, for all forks that follow."""
        if self._preparation.imported:
            self._known.learn(start)

    def open(self, start: StartAttempt, descriptor: int) -> None:
        """Be the process of this attempt, which talks to the engine over *descriptor*."""
        self._start = start
        self._descriptor = descriptor
        self._zygote = os.getppid()
        self.caller.key = start.attempt_key
        _forks.process = self

    def work(self, *, leave: Callable[[], None], settle: Callable[[], None] = lambda: None) -> None:
        """Execute the attempt, say how it ended, and stay until that is committed.

        The last word comes after *leave* has ended what user code left. What is to be done after it, *settle* does
        before the waiting: whoever wakes up for a moment finds nothing where the processor had it.
        """
        outcome = self._outcome(self._start)
        leave()
        # Threads of the user's are gone; what they posted last goes first.
        self._finish(outcome)
        settle()
        self._await_acceptance()

    def give_up(self, exc: BaseException) -> None:
        """Say that the attempt cannot be made here, for no fault of the user's; harmless after the last word."""
        if self._descriptor >= 0 and self._last_word is None:
            self._finish(Failed(failure=system_failure_of(exc)))
            self._await_acceptance()

    def _finish(self, outcome: Outcome) -> None:
        last = self._last_word = AttemptFinished(attempt_key=self.caller.key, outcome=outcome)
        self.line.post(last)
        self.line.flush()

    def _await_acceptance(self) -> None:
        """Should the engine die before the last word is committed, it is said to the next."""
        if self._rejoining is None:
            return
        if not self.begin_wait():
            assert self._acceptance is not None
            self._acceptance.wait()
        while not self._is_accepted:
            self._read_on(_SMALL_PIECE)

    def _outcome(self, start: StartAttempt) -> Outcome:
        if not self._preparation.imported:
            failure = _import_here(self._preparation)
            if failure is not None:
                return Failed(failure=failure)
        attempt = Attempt(start, host=self, caller=self.caller, open_blobs=self._open_blobs, known=self._known)
        try:
            attempt.prepare()
        except AttemptFailure as failed:
            return Failed(failure=failed.failure)
        ambient.session = attempt.session
        current.set(attempt.session)
        if attempt.is_async:
            return attempt.run_on(self._loop)
        return attempt.run_blocking()

    # Host: waiting for answers

    def expect(self, call: Call, future: Settable) -> None:
        loop = asyncio.get_running_loop()
        call.wake = lambda: None if future.done() else future.set_result(None)
        if loop is self._loop:
            self._loop.expect(call)
            return
        inbox = self._inboxes.get(loop)
        if inbox is None:
            inbox = self._inboxes[loop] = LoopInbox(loop, self.line)
        call.deliver = inbox.deliver
        inbox.touch(call.caller)
        self._read_in_thread()

    def wait(self, *calls: Call) -> None:
        if threading.get_ident() == self._main and not self._thread_reads:
            self._wait_reading(calls)
            return
        answered = threading.Event()
        for call in calls:
            call.wake = answered.set
        if has_answer(calls):
            return
        self.line.say_waiting(calls[0].caller)
        self.line.flush()
        self._read_in_thread()
        answered.wait()

    def _wait_reading(self, calls: Sequence[Call]) -> None:
        caller = calls[0].caller
        is_blocked = asyncio._get_running_loop() is None and not caller.steps
        self.line.say_waiting(caller, for_engine=is_blocked and self.is_alone())
        self.line.flush()
        if not self.begin_wait():
            self.wait(*calls)
            return
        try:
            while not has_answer(calls):
                self._read_on()
        finally:
            self.end_wait()

    # Wire: reading

    @property
    def descriptor(self) -> int | None:
        return None if self._thread_reads else self._descriptor

    def begin_wait(self) -> bool:
        with self._switching:
            self._main_reads = not self._thread_reads
            return self._main_reads

    def end_wait(self) -> None:
        with self._switching:
            self._main_reads = False
            if self._others_wait:
                self._start_thread()

    def is_alone(self) -> bool:
        if not is_alone(self._loop, ours=int(self._thread_reads)):
            return False
        # Whoever is put away has no other time to write it.
        flush_output()
        return True

    def read(self) -> None:
        """Take what the engine said; blocks while it says nothing, but not when it is gone."""
        if not self._take_piece(_PIECE):
            with self._switching:
                self._start_thread()

    def _read_on(self, size: int = _PIECE) -> None:
        """Take what the engine said, or when it is gone find the next one, and block until then."""
        if not self._take_piece(size):
            self._return_to_engine()

    def _take_piece(self, size: int) -> bool:
        """Whether the engine is there."""
        try:
            piece = os.read(self._descriptor, size)
        except OSError as exc:
            _raise_if_handlers(exc)
            piece = self._cut_off(exc)
        if not piece:
            self._cut_off(None)
            return False
        if piece == ACCEPTED and self._reader.is_empty:
            self._accepted()
            return True
        for body in self._reader.feed(piece):
            message = _decode(body)
            if isinstance(message, (ChildEnded, CallRefused, Acknowledged)):
                self.line.hear(message)
            elif isinstance(message, Accepted):
                self._accepted()
        return True

    def _accepted(self) -> None:
        self._is_accepted = True
        if self._acceptance is not None:
            self._acceptance.set()

    def _cut_off(self, error: OSError | None) -> bytes:
        """The connection has ended. Where user code closed it, or nobody will come, this process ends."""
        if self._rejoining is None or (error is not None and error.errno in _CLOSED_HERE):
            os._exit(CONNECTION_LOST)
        self._is_cut_off = True
        return b""

    def _return_to_engine(self) -> None:
        assert self._rejoining is not None
        connection = return_worker(self._rejoining, self.caller.key, zygote=self._zygote)
        with connection:
            try:
                self.line.say_again(self.caller, connect=lambda: self._go_over(connection), last=self._last_word)
            except BaseException:
                # A signal handler raised: half of it is worse than nothing.
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
                self._is_cut_off = True
                raise

    def _go_over(self, connection: socket.socket) -> None:
        # The number stays, so that whoever uses it meanwhile has the one or the other.
        os.dup2(connection.fileno(), self._descriptor, inheritable=False)
        self._reader = FrameReader()
        self._unsent.clear()
        self._is_cut_off = False

    def _read_in_thread(self) -> None:
        """Somebody else than the main thread waits for an answer, or for its loop to hear of it."""
        with self._switching:
            self._others_wait = True
            if not self._main_reads:
                self._start_thread()

    def _start_thread(self) -> None:
        if not self._thread_reads:
            self._thread_reads = True
            self._acceptance = threading.Event()
            threading.Thread(target=self._read_forever, name="volant-reader", daemon=True).start()

    def _read_forever(self) -> None:
        while True:
            self._read_on()

    def _write(self, _messages: Sequence[WorkerToEngine], bodies: Sequence[bytes]) -> None:
        if self._is_cut_off:
            return
        # What a signal handler interrupts by raising goes out with the next write.
        unsent = self._unsent
        unsent += frames(bodies)
        try:
            while unsent:
                written = os.write(self._descriptor, unsent)
                del unsent[:written]
        except OSError as exc:
            _raise_if_handlers(exc)
            self._cut_off(exc)

    # Forks that user code makes

    def leave_to_parent(self) -> None:
        """In a process that user code forked: the conversation with the engine is its parent's."""
        os.close(self._descriptor)
        self._descriptor = -1


_CLOSED_HERE = frozenset({errno.EBADF, errno.ENOTSOCK, errno.EINVAL})
"""Errors of a descriptor that user code has closed, or put to another use."""


def _raise_if_handlers(exc: OSError) -> None:
    """Pass on what a signal handler raised during a system call: `TimeoutError` is an `OSError`, without a number."""
    if exc.errno is None:
        raise exc


def _import_here(preparation: Preparation) -> Failure | None:
    try:
        import_code(preparation.order)
    except BaseException as exc:  # noqa: BLE001  # user code: the engine is told
        return import_failure(exc)
    return None


class _Forks:
    """The attempt that a fork made by user code is not."""

    process: WorkerProcess | None = None


_forks = _Forks()


def forget_process() -> None:
    """After a rehearsal in a zygote: this process executes no attempt."""
    _forks.process = None


def _in_users_fork() -> None:
    process = _forks.process
    if process is None:
        return
    _forks.process = None
    # A task called there is the plain function: there is no run to call it in.
    ambient.session = None
    current.set(None)
    process.leave_to_parent()


os.register_at_fork(after_in_child=_in_users_fork)
