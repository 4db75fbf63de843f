"""What went wrong with an attempt, as the control side keeps it."""

from enum import StrEnum

import msgspec


class FailureKind(StrEnum):
    """Whose failure it is; it decides which budget a retry is taken from."""

    USER = "user"
    """An exception, a non-zero exit, a crash, a limit: counts against `retries`."""
    SYSTEM = "system"
    """Ours: code that cannot be loaded, a value that cannot be stored."""
    LOST = "lost"
    """The worker, its zygote, its engine or its machine went away."""
    ABORTED = "aborted"
    """Someone asked for the end."""


class Failure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One failed attempt: text for people, opaque bytes for the parent that rebuilds the exception."""

    kind: FailureKind
    code: str
    """The exception's own `code` when it is a string, else its type's name; `ExitCode`, `Signal` for processes."""
    message: str
    """`str(exception)`, or the sentence that describes how the process ended."""
    traceback: str = ""
    """The formatted remote traceback, the user's frames first of interest; empty when there was none."""
    exception: bytes = b""
    """The encoded exception (`volant.values.failures`); empty when it could not be pickled. The control side never
    opens it."""
    retryable: bool = True
    """False for `NonRecoverableError`."""
    exit_code: int | None = None
    """What the process, or `sys.exit`, ended with; for code `ExitCode`."""
    signal: int | None = None
    """The signal that ended the process; for code `Signal`."""
    limit: int | None = None
    """Bytes that were allowed; for code `OOMError`."""
    peak: int | None = None
    """Bytes that were seen; for code `OOMError`."""
    attempts: int = 0
    """How many attempts the action had; filled in by the engine when the action has failed for good."""
    action: str = ""
    """Id of the action that failed; filled in by the engine."""
    task: str = ""
    """Full name of the task that failed; filled in by the engine."""

    @property
    def first_line(self) -> str:
        """The first line of the message that says something."""
        return next((line for line in self.message.splitlines() if line.strip()), "")
