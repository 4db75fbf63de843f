"""From a fork of the zygote to a worker: a process of its own, with nothing of the zygote's in its hands.

What is done here is done for every attempt, so it is little: no import, no thread, no event loop, no file but the log.
"""

import atexit
import fcntl
import io
import os
import resource
import signal
import sys
import threading
import weakref
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any, NoReturn

import msgspec

from volant.kit.processes import become_subreaper, has_children
from volant.model.worker_protocol import ForkWorker, StartAttempt
from volant.ports.blobs import Blobs
from volant.worker.guardian import CleanExit
from volant.worker.preparing import Preparation
from volant.worker.process import work
from volant.worker.randomness import reseed

ATTEMPT_VARIABLE = "VOLANT_ATTEMPT"
"""Names the attempt to whatever it starts: run, action, attempt, process."""
OUR_FAULT = 70
"""Exit code of a worker that could not even say what went wrong."""
_HIGH = 900
"""User code that closes descriptors closes low ones."""

Handler = Callable[[int, FrameType | None], Any]

_decode_start = msgspec.msgpack.Decoder(StartAttempt).decode


class SignalState:
    """What the zygote changed about signals, and how a fork gets back what was there before."""

    def __init__(self, previous: Mapping[int, Any], mask: set[Any]) -> None:
        self._previous = previous
        self._mask = mask
        self._block = frozenset(previous)

    @classmethod
    def take(cls, handlers: Mapping[int, Handler], *, wakeup: int) -> "SignalState":
        """Install *handlers*; the number of every signal is written to *wakeup*."""
        mask = set(signal.pthread_sigmask(signal.SIG_BLOCK, ()))
        previous = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
        return cls(previous, mask)

    def block(self) -> None:
        """Let no signal in until `unblock` or `give_back`."""
        signal.pthread_sigmask(signal.SIG_BLOCK, self._block)

    def unblock(self) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)

    def give_back(self) -> None:
        """In a fork: the handlers that were there when the user's modules had been imported."""
        signal.set_wakeup_fd(-1)
        for number, handler in self._previous.items():
            # None is a handler that was not installed from Python: it cannot be put back, so the default.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)


class Fork(msgspec.Struct, frozen=True, kw_only=True):
    """What a fork takes along."""

    order: ForkWorker
    connection: int
    foreign: tuple[int, ...]
    """Descriptors of the zygote, and of workers that it has yet to fork."""
    clean: CleanExit
    signals: SignalState
    preparation: Preparation
    open_blobs: Callable[[str], Blobs]


def be_worker(fork: Fork) -> NoReturn:
    """Execute the attempt and leave."""
    code = OUR_FAULT
    try:
        os.setsid()
        become_subreaper()
        connection = _take_descriptors(fork)
        fork.signals.give_back()
        _forget_exit_handlers()
        reseed()
        start = _decode_start(fork.order.start)
        os.environ[ATTEMPT_VARIABLE] = f"{start.context.run}/{start.action}/{start.attempt}/{os.getpid()}"
        work(start, connection, preparation=fork.preparation, open_blobs=fork.open_blobs, leave=_finish_program)
        if not has_children() and _is_alone():
            fork.clean.promise()
        code = 0
    except BaseException as exc:  # noqa: BLE001  # the end of the program; its log is the only place left
        sys.excepthook(type(exc), exc, exc.__traceback__)
        flush_output()
    finally:
        os._exit(code)


def _take_descriptors(fork: Fork) -> int:
    """Output goes to the log, what belongs to others is closed, and the connection gets a number out of the way."""
    log = _open_log(fork.order.log)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    for descriptor in fork.foreign:
        os.close(descriptor)
    _rebind_output()
    high = min(_HIGH, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 8)
    connection = fcntl.fcntl(fork.connection, fcntl.F_DUPFD_CLOEXEC, high)
    os.close(fork.connection)
    return connection


def _open_log(path: str) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    try:
        return os.open(path, flags, 0o600)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return os.open(path, flags, 0o600)


def _rebind_output() -> None:
    """The streams of the interpreter write to descriptors 1 and 2; where user code closed or removed one, a new one."""
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name)
        if stream is None or getattr(stream, "closed", False):
            setattr(sys, name, _new_stream(descriptor))


def _new_stream(descriptor: int) -> io.TextIOWrapper:
    return io.TextIOWrapper(
        io.FileIO(descriptor, "w", closefd=False), encoding="utf-8", errors="backslashreplace", write_through=True
    )


def _forget_exit_handlers() -> None:
    """Exit handlers that were registered before the fork belong to the zygote, as with `multiprocessing`.

    One that removes a temporary folder which the user's module made would pull it from under every other fork.
    """
    atexit._clear()
    registry: dict[Any, Any] = getattr(weakref.finalize, "_registry", {})
    if registry:
        registry.clear()
        # The class registers itself with atexit once; that registration was just dropped.
        weakref.finalize._registered_with_atexit = False  # type: ignore[attr-defined]
    children = sys.modules.get("multiprocessing.process")
    if children is not None:
        children._children.clear()
    finalizers = sys.modules.get("multiprocessing.util")
    if finalizers is not None:
        finalizers._finalizer_registry.clear()
        finalizers._run_after_forkers()


def _finish_program() -> None:
    """What an interpreter does at the end of a program: threads that are no daemons, exit handlers, buffers."""
    if threading.active_count() > 1:
        threading._shutdown()  # type: ignore[attr-defined]
    finalizers = sys.modules.get("multiprocessing.util")
    if finalizers is not None:
        finalizers._exit_function()
    atexit._run_exitfuncs()
    flush_output()


def flush_output() -> None:
    """Write what the streams hold back; user code may have closed or replaced them."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            continue


def _is_alone() -> bool:
    """Whether no thread is left that could start a process after this was asked."""
    return threading.active_count() == 1
