"""What it means that an attempt's process ended without an outcome."""

import errno

from volant.model.exits import Exit
from volant.model.failures import Failure, FailureKind

_CRASHES = {
    4: "SIGILL",
    5: "SIGTRAP",
    6: "SIGABRT",
    7: "SIGBUS",
    8: "SIGFPE",
    11: "SIGSEGV",
    14: "SIGALRM",
    24: "SIGXCPU",
    25: "SIGXFSZ",
    26: "SIGVTALRM",
    27: "SIGPROF",
    31: "SIGSYS",
}
"""Signals that a process brings upon itself. Others were sent by somebody."""
_SENT = {
    1: "SIGHUP",
    2: "SIGINT",
    3: "SIGQUIT",
    9: "SIGKILL",
    10: "SIGUSR1",
    12: "SIGUSR2",
    13: "SIGPIPE",
    15: "SIGTERM",
}


def failure_of(ended: Exit) -> Failure:
    """Judge an exit without an outcome.

    An exit code or a crash is the user's failure; a signal that somebody sent, or a vanished
    guardian, is a lost worker.
    """
    if ended.signal is not None:
        name = _CRASHES.get(ended.signal) or _SENT.get(ended.signal) or "a signal"
        if ended.signal in _CRASHES:
            return Failure(
                kind=FailureKind.USER,
                code="Signal",
                signal=ended.signal,
                message=f"the process crashed with {name} (signal {ended.signal})",
            )
        return Failure(
            kind=FailureKind.LOST,
            code="WorkerLost",
            message=f"the process was ended from outside by {name} (signal {ended.signal})",
        )
    if ended.code is None:
        return Failure(kind=FailureKind.LOST, code="WorkerLost", message="the process and its guardian are gone")
    return Failure(
        kind=FailureKind.USER,
        code="ExitCode",
        exit_code=ended.code,
        message=f"the process ended with exit code {ended.code} before the task returned",
    )


def failure_to_start(error: int | None, code: str, text: str) -> Failure:
    """What it means that the system refused to start an attempt, by the number of its error.

    Mostly it is short of something, and later it may not be. What is too large for it stays so.
    """
    if error == errno.E2BIG:
        return Failure(
            kind=FailureKind.USER,
            code="EnvironmentTooLarge",
            message="the attempt cannot be started: its environment variables (env_vars, and those of whoever "
            f"submitted the run) are larger than the system allows: {text}",
            retryable=False,
        )
    return Failure(kind=FailureKind.LOST, code=code, message=f"the attempt cannot be started: {text}")
