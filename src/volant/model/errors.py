"""Every error that Volant raises, in one tree.

::

    VolantError
    ├── DefinitionError            a wrong environment, task or value class      (ValueError, TypeError by kind)
    │   ├── DuplicateNameError
    │   └── UnknownParameterError
    ├── CallError                  a call or submission that was refused; nothing was written
    │   ├── ArgumentError          (TypeError) arguments do not bind, or a value does not fit its type
    │   ├── InlineIOMaxBytesBreached
    │   ├── SyncTaskCallInAsyncContextError
    │   ├── NestedRunError         volant.run while the module is imported for its tasks
    │   └── NotSupportedError      accepted but not available here; ignoring it would be wrong
    ├── ValueCodecError            bytes that are not what the type says
    ├── SettingsError              a setting that does not parse
    ├── EngineError                the engine cannot be reached, started or spoken to
    │   ├── EngineVersionError
    │   └── EngineGoneError
    ├── JournalError
    │   └── BatchRefusedError      one batch was not stored; the journal goes on
    ├── BlobError                  the blob store cannot be read or written
    │   ├── BlobMissingError       (LookupError)
    │   └── BlobCorruptError
    ├── RunNotFoundError / ActionNotFoundError / TaskNotFoundError  (LookupError)
    ├── RunNameTakenError
    └── TaskError = RuntimeUserError   what a task raised, told to its caller
        ├── OOMError
        ├── TaskTimeoutError
        │   ├── MaxRuntimeExceededError
        │   ├── MaxQueuedTimeExceededError
        │   └── DeadlineExceededError
        ├── TaskExitError          the process ended: exit code or signal
        ├── RunAbortedError
        ├── NonRecoverableError    raise it to refuse further attempts
        └── RuntimeSystemError     not the user's failure
"""

from collections.abc import Sequence


class VolantError(Exception):
    """Base of every error that Volant raises itself."""

    hint: str | None = None
    """What the user can do about it; the command line shows it on a line of its own, a traceback below the error."""

    def __init__(self, *args: object, hint: str | None = None) -> None:
        super().__init__(*args)
        if hint is not None:
            self.hint = hint
            # For whoever reads a traceback.
            self.add_note(f"hint: {hint}")


class DefinitionError(VolantError, ValueError):
    """A definition names something that cannot be: raised at the line where it was written."""


class DefinitionTypeError(DefinitionError, TypeError):
    """As `DefinitionError`, where the type of a parameter is wrong."""


class DuplicateNameError(DefinitionError):
    """Two environments of one name in a process, or two tasks of one name in an environment."""


class UnknownParameterError(DefinitionTypeError):
    """A keyword that this level does not accept; the message names the nearest one, or the level that does."""


class CallError(VolantError):
    """A call or a submission was refused. Nothing was written."""


class ArgumentError(CallError, TypeError):
    """Arguments do not bind, or a value does not fit the annotated type."""


class InlineIOMaxBytesBreached(CallError):
    """What travels by value is larger than `max_inline_io_bytes`."""


class SyncTaskCallInAsyncContextError(CallError):
    """A sync task was called directly from async code; `.aio` is the way."""


class NestedRunError(CallError):
    """`volant.run` was reached while the module was imported for its tasks: the script has no `__main__` guard."""


class NotSupportedError(CallError, NotImplementedError):
    """A parameter has no effect here yet and ignoring it would be wrong."""


class ValueCodecError(VolantError, ValueError):
    """Stored bytes are not what the annotated type says, or a value cannot be encoded at all."""


class SettingsError(VolantError, ValueError):
    """A setting does not parse; the message names its source."""

    hint = "correct it where it was written, or leave it out: every setting has a default"


class EngineError(VolantError):
    """The engine of a home cannot be reached, started or spoken to."""


class EngineVersionError(EngineError):
    """The running engine speaks another version of the protocol and is busy."""


class EngineGoneError(EngineError):
    """The engine went away while it was needed."""


class JournalError(VolantError):
    """The journal cannot be read or written."""


class BatchRefusedError(JournalError):
    """One batch was not stored: it does not fit what is stored, cannot be stored, or its run is another owner's.

    What was given before and after it is not touched.
    """


class BlobError(VolantError):
    """The blob store cannot be read or written."""


class BlobMissingError(BlobError, LookupError):
    """The store does not have the blob."""


class BlobCorruptError(BlobError):
    """What the store has is not what was stored."""


class RunNotFoundError(VolantError, LookupError):
    """No run of this name in this home."""


class ActionNotFoundError(VolantError, LookupError):
    """No action of this id in this run."""


class TaskNotFoundError(VolantError, LookupError):
    """No run of this home has used a task of this name."""


class RunNameTakenError(VolantError):
    """A run of this name exists already."""


class TaskError(VolantError):
    """A task failed.

    Where the class of the original exception can be extended, what a caller catches is an
    instance of *both* that class and this one.

    Attributes:
        code: the original type's name, unless the exception has a `code` of its own.
        kind: `user`, `system`, `lost` or `aborted`.
        action: id of the action that failed; empty when raised by hand.
        task: full name of the task that failed.
        attempts: how many attempts the action had.
        remote_traceback: the formatted traceback of the process that raised it.
    """

    code: str = "TaskError"
    kind: str = "user"
    action: str = ""
    task: str = ""
    attempts: int = 0
    remote_traceback: str = ""

    def __init__(self, *args: object, code: str | None = None, hint: str | None = None) -> None:
        super().__init__(*args, hint=hint)
        if code is not None:
            self.code = code


RuntimeUserError = TaskError


class OOMError(TaskError):
    """The attempt went past its memory limit.

    Attributes:
        limit: bytes allowed, if known.
        peak: bytes seen, if known.
    """

    limit: int | None = None
    peak: int | None = None

    def __init__(self, code: str = "OOMError", message: str = "out of memory") -> None:
        super().__init__(code, message, code=code)

    def __str__(self) -> str:
        return str(self.args[1])


class TaskTimeoutError(TaskError, TimeoutError):
    """The attempt or the action took too long."""


class MaxRuntimeExceededError(TaskTimeoutError):
    """An attempt ran longer than `max_runtime`."""


class MaxQueuedTimeExceededError(TaskTimeoutError):
    """An attempt was queued longer than `max_queued_time`."""


class DeadlineExceededError(TaskTimeoutError):
    """An action had not ended at its `deadline`."""


class TaskExitError(TaskError):
    """The attempt's process ended without an outcome.

    Attributes:
        exit_code: the code it exited with, or None.
        signal: the number of the signal that ended it, or None.
    """

    exit_code: int | None = None
    signal: int | None = None


class RunAbortedError(TaskError):
    """The run, or an action in it, was aborted."""

    kind = "aborted"


class NonRecoverableError(TaskError):
    """Raised by user code to say that no further attempt can help."""


class RuntimeSystemError(TaskError):
    """The machine, the network or Volant failed, not the task."""

    kind = "system"


class MissingSecretsError(CallError):
    """Secrets that a submission needs are nowhere to be found; all of them are named.

    Attributes:
        names: the missing keys.
    """

    def __init__(self, message: str, *, names: Sequence[str] = (), hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.names = tuple(names)
