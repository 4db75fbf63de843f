"""What is reported when user code fails in a worker."""

import asyncio
import sys

import msgspec

from volant.model.failures import Failure, FailureKind
from volant.values.failures import encode_exception
from volant.worker.preparing import PACKAGE

_C_LONG = 2**63
"""Beyond it the interpreter takes an exit code for -1."""


class AttemptFailure(Exception):
    """The attempt cannot go on; carries what is reported."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def failure_of(exc: BaseException) -> Failure:
    """What user code raised.

    An exception that would end the parent, or look like its own cancellation, arrives there as text: user code that
    says `sys.exit` means its own program.
    """
    failure = encode_exception(exc, kind=FailureKind.USER, skip_frames_of=[PACKAGE])
    if isinstance(exc, SystemExit):
        code = exit_code_of(exc)
        return msgspec.structs.replace(
            failure,
            code="ExitCode",
            message=f"the task ended its program with exit code {code}",
            exit_code=code,
            exception=b"",
        )
    if isinstance(exc, (KeyboardInterrupt, GeneratorExit, asyncio.CancelledError)):
        return msgspec.structs.replace(failure, exception=b"")
    return failure


def lasting_failure_of(exc: BaseException, *, kind: FailureKind = FailureKind.USER) -> Failure:
    """As `failure_of`, where another attempt would end the same way."""
    failure = encode_exception(exc, kind=kind, skip_frames_of=[PACKAGE])
    if not isinstance(exc, Exception):
        failure = msgspec.structs.replace(failure, exception=b"")
    return msgspec.structs.replace(failure, retryable=False)


def system_failure_of(exc: BaseException) -> Failure:
    """What is nobody's but ours: a store that cannot be reached."""
    return encode_exception(exc, kind=FailureKind.SYSTEM, skip_frames_of=[PACKAGE])


def exit_code_of(exc: SystemExit) -> int:
    """The exit code that `sys.exit` was given; what is no number is printed, as the interpreter does."""
    if exc.code is None:
        return 0
    if isinstance(exc.code, int):
        # A plain one: `sys.exit(not ok)` is customary, and so are members of an enumeration.
        code = int.__int__(exc.code)
        return code if -_C_LONG <= code < _C_LONG else -1
    print(exc.code, file=sys.stderr)
    return 1
