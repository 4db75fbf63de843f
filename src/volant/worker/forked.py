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
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import FrameType
from typing import Any, NoReturn

from volant.kit.processes import become_subreaper, die_with_parent, has_children
from volant.model.worker_protocol import ForkWorker, StartAttempt
from volant.worker.guardian import CleanExit
from volant.worker.idling import flush_output
from volant.worker.process import WorkerProcess
from volant.worker.randomness import Generators

ATTEMPT_VARIABLE = "VOLANT_ATTEMPT"
"""Names the attempt to whatever it starts: run, action, attempt, process."""
OUR_FAULT = 70
"""Exit code of a worker that could not even say what went wrong."""
_HIGH = 900
"""User code that closes descriptors closes low ones."""

Handler = Callable[[int, FrameType | None], Any]

# Every page of memory that a fork writes to is copied, and Python writes wherever it runs. So what runs in each fork
# goes the shortest way: the functions of `signal` convert numbers to enumerations and back.
_signal: Any = sys.modules["_signal"]


class SignalState:
    """What the zygote changed about signals, and how a fork gets back what was there before."""

    def __init__(self, previous: Mapping[int, Any], mask: Iterable[int]) -> None:
        self._previous = [(int(number), _plain(handler)) for number, handler in previous.items()]
        self._mask = [int(number) for number in mask]
        self._block = [number for number, _ in self._previous]

    @classmethod
    def take(cls, handlers: Mapping[int, Handler], *, wakeup: int) -> "SignalState":
        """Install *handlers*; the number of every signal is written to *wakeup*."""
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        previous = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
        return cls(previous, mask)

    def block(self) -> None:
        """Let no signal in until `unblock` or `give_back`."""
        _signal.pthread_sigmask(_BLOCK, self._block)

    def unblock(self) -> None:
        """Let in what came meanwhile."""
        _signal.pthread_sigmask(_SET_MASK, self._mask)

    def give_back(self) -> None:
        """In a fork: the handlers that were there when the user's modules had been imported."""
        _signal.set_wakeup_fd(-1)
        for number, handler in self._previous:
            _signal.signal(number, handler)
        _signal.pthread_sigmask(_SET_MASK, self._mask)


def _plain(handler: Any) -> Any:
    """A handler as the C module takes it; one that was not installed from Python is None and becomes the default."""
    if handler is None:
        return int(signal.SIG_DFL)
    return int(handler) if isinstance(handler, signal.Handlers) else handler


_BLOCK = int(signal.SIG_BLOCK)
_SET_MASK = int(signal.SIG_SETMASK)


class Surroundings:
    """What is true of every fork of a zygote; found out once, before the first."""

    def __init__(self, generators: Generators) -> None:
        self.generators = generators
        # The limit may be lower than what a server usually has.
        self.high = max(3, min(_HIGH, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 64))
        self.broken_streams = [
            (name, descriptor)
            for name, descriptor in (("stdout", 1), ("stderr", 2))
            if (stream := getattr(sys, name)) is None or getattr(stream, "closed", False)
        ]
        finalizers: dict[Any, Any] = getattr(weakref.finalize, "_registry", {})
        self.has_finalizers = bool(finalizers)
        self.has_exit_handlers = atexit._ncallbacks() > 0
        self.has_multiprocessing = "multiprocessing.util" in sys.modules


class Fork:
    """What a fork takes along."""

    __slots__ = ("clean", "connection", "foreign", "order", "signals", "start", "surroundings", "worker", "zygote")

    def __init__(
        self,
        *,
        order: ForkWorker,
        start: StartAttempt,
        connection: int,
        foreign: Iterable[int],
        clean: CleanExit,
        signals: SignalState,
        surroundings: Surroundings,
        worker: WorkerProcess,
        zygote: int,
    ) -> None:
        """*zygote*: its process id. *foreign*: descriptors of the zygote, and of workers that it has yet to fork."""
        self.order = order
        self.start = start
        self.connection = connection
        self.foreign = foreign
        self.clean = clean
        self.signals = signals
        self.surroundings = surroundings
        self.worker = worker
        self.zygote = zygote


def be_worker(fork: Fork) -> NoReturn:
    """Execute the attempt and leave."""
    code = OUR_FAULT
    try:
        os.setsid()
        die_with_parent(fork.zygote)
        become_subreaper()
        fork.worker.open(fork.start, _take_descriptors(fork))
        fork.signals.give_back()
        _forget_exit_handlers(fork.surroundings)
        fork.surroundings.generators.reseed()
        start = fork.start
        os.environ[ATTEMPT_VARIABLE] = f"{start.context.run}/{start.action}/{start.attempt}/{os.getpid()}"
        fork.worker.work(leave=finish_program, settle=partial(_promise, fork.clean))
        code = 0
    except BaseException as exc:  # noqa: BLE001  # the end of the program: our own mistake, or the machine's
        sys.excepthook(type(exc), exc, exc.__traceback__)
        flush_output()
        fork.worker.give_up(exc)
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
    for name, descriptor in fork.surroundings.broken_streams:
        setattr(sys, name, _new_stream(descriptor))
    connection = fcntl.fcntl(fork.connection, fcntl.F_DUPFD_CLOEXEC, fork.surroundings.high)
    os.close(fork.connection)
    return connection


def _open_log(path: str) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    try:
        return os.open(path, flags, 0o600)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return os.open(path, flags, 0o600)
    except OSError as exc:
        # Output is worth less than the attempt.
        print(f"cannot write the log of an attempt: {exc}", file=sys.stderr, flush=True)
        return os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)


def _new_stream(descriptor: int) -> io.TextIOWrapper:
    return io.TextIOWrapper(
        io.FileIO(descriptor, "w", closefd=False), encoding="utf-8", errors="backslashreplace", write_through=True
    )


def _forget_exit_handlers(surroundings: Surroundings) -> None:
    """Exit handlers that were registered before the fork belong to the zygote, as with `multiprocessing`.

    One that removes a temporary folder which the user's module made would pull it from under every other fork.
    """
    if surroundings.has_exit_handlers:
        atexit._clear()
    if surroundings.has_finalizers:
        finalize: Any = weakref.finalize
        finalize._registry.clear()
        # The class registers itself with atexit once; that registration was just dropped.
        finalize._registered_with_atexit = False
    if surroundings.has_multiprocessing:
        sys.modules["multiprocessing.process"]._children.clear()
        finalizers = sys.modules["multiprocessing.util"]
        finalizers._finalizer_registry.clear()
        finalizers._run_after_forkers()


def finish_program() -> None:
    """What an interpreter does at the end of a program: threads that are no daemons, exit handlers, buffers."""
    if len(threading._active) > 1:  # type: ignore[attr-defined]
        threading._shutdown()  # type: ignore[attr-defined]
    finalizers = sys.modules.get("multiprocessing.util")
    if finalizers is not None:
        finalizers._exit_function()
    atexit._run_exitfuncs()
    flush_output()


def _promise(clean: CleanExit) -> None:
    """Say that nothing will be left, if that is so: user code runs no more, whatever is waited for."""
    if not _may_leave_something():
        clean.promise()


def _may_leave_something() -> bool:
    """Whether there is a process that this one started, or a thread that may start one after this was asked."""
    return len(threading._active) > 1 or has_children()  # type: ignore[attr-defined]
