"""Exceptions that cross processes: what a child raises is what its parent catches.

An exception is taken apart in the process that raised it and put together in the one that waits for it, without
calling its constructor: an instance of the same class, with `args`, attributes, slots, fields of builtin classes,
notes, cause, context, members of a group, and a traceback. Where the class can be extended, the object's class derives
from it and from `TaskError`; such classes look like the original one and lead back to it when the object travels on.

What the parent sees otherwise:

* *The child's traceback* is the object's own `__traceback__`, rebuilt (`volant.values.failing.frames`): printing shows
  the frames of the parent, then those of the child. Notes and causes are the user's alone.
* *A value that cannot be pickled*, or does not fit into `MAX_BYTES`, is replaced by an object whose `str` and `repr`
  are the value's.
* *A class that cannot be had in the parent* becomes `TaskError` (`NonRecoverableError` where it was one) with the text.
* *Failures that are not the user's* are `RuntimeSystemError` or `RunAbortedError` as well.
* *Causes and contexts*, and exceptions inside attributes, keep their own class alone, unless a call had raised them.
* *Exceptions that are no `Exception`* (`SystemExit`, `KeyboardInterrupt`, `GeneratorExit`, `asyncio.CancelledError`)
  are encoded like any other and arrive as their own type alone, so that no `except Exception` begins to catch them. In
  a parent they would do what they do anywhere: end it, or look like its own cancellation. Whoever encodes one that
  user code raised itself decides with `ends_program` whether that is meant.
"""

import os
from collections.abc import Sequence
from typing import Any

from volant.model.errors import (
    DeadlineExceededError,
    MaxQueuedTimeExceededError,
    MaxRuntimeExceededError,
    NonRecoverableError,
    OOMError,
    TaskError,
    TaskExitError,
    TaskTimeoutError,
)
from volant.model.failures import Failure, FailureKind
from volant.values.failing.classes import Extender, Received
from volant.values.failing.decoding import Decoding, base_for
from volant.values.failing.details import Details, code_of, details, keep, original_class, told_of
from volant.values.failing.encoding import Encoding, TooManyError
from volant.values.failing.formatting import traceback_of
from volant.values.failing.frames import Tracebacks
from volant.values.failing.graph import from_bytes, to_bytes
from volant.values.failing.introspection import is_a
from volant.values.failing.parts import (
    CAUSE,
    CONTEXT,
    GROUP_MEMBERS,
    GROUP_MESSAGE,
    SUPPRESS_CONTEXT,
    TRACEBACK,
    fill,
    fresh,
    take_apart,
)
from volant.values.failing.text import Unsendable, message_of

__all__ = ["MAX_BYTES", "Details", "Unsendable", "decode_exception", "details", "encode_exception", "ends_program"]

MAX_BYTES = 10 * 1024 * 1024
"""Size of an encoded exception; what is larger travels as text."""


def encode_exception(
    exc: BaseException, *, kind: FailureKind = FailureKind.USER, skip_frames_of: Sequence[str] = ()
) -> Failure:
    """Everything about an exception that another process can be told.

    Never raises, whatever the exception's own code does, and is bounded in size: the text to
    `MAX_MESSAGE` and `MAX_TRACEBACK` characters, the rest to `MAX_BYTES`.

    Args:
        exc: any exception, also one that `decode_exception` gave.
        kind: whose failure it is.
        skip_frames_of: folders; frames of files in them are left out of every traceback.
    """
    folders = [os.path.abspath(folder) for folder in skip_frames_of]
    return Failure(
        kind=kind,
        code=code_of(exc),
        message=message_of(exc),
        traceback=traceback_of(exc, skip_frames_of=folders),
        exception=_encoded(exc, folders),
        retryable=not is_a(exc, NonRecoverableError),
    )


def decode_exception(failure: Failure) -> BaseException:
    """The exception to raise for a failure.

    Loads the classes of the exception, so user code is imported. Never raises, but for `KeyboardInterrupt`.
    """
    if failure.exception:
        try:
            graph = from_bytes(failure.exception)
            return Decoding(graph, failure, extender=_extender, tracebacks=_tracebacks).root()
        except Exception:  # noqa: BLE001  # not ours, or of another version: the text says what happened
            return _from_text(failure)
    return _from_text(failure)


def ends_program(exc: BaseException) -> bool:
    """Whether an exception would end, or seem to cancel, the parent that it is raised in, instead of being caught."""
    return not is_a(exc, Exception)


def _encoded(exc: BaseException, folders: Sequence[str]) -> bytes:
    try:
        data = to_bytes(Encoding(exc, limit=MAX_BYTES, skip_frames_of=folders).graph())
    except TooManyError:
        return b""
    except Exception:  # noqa: BLE001  # a failure is being recorded, and it has a text already
        return b""
    return data if len(data) <= MAX_BYTES else b""


class _Received(Received):
    """First base of extended classes: they are copied and pickled by anyone as they travel here."""

    __slots__ = ()

    def __reduce_ex__(self, protocol: Any, /) -> tuple[Any, ...]:
        exc: Any = self
        return decode_exception, (encode_exception(exc),)

    def __copy__(self) -> BaseException:
        exc: Any = self
        cls = original_class(type(self))
        group = issubclass(cls, BaseExceptionGroup)
        message, members = (GROUP_MESSAGE.__get__(exc), GROUP_MEMBERS.__get__(exc)) if group else ("", ())
        copy = fresh(type(self), cls, message=message, members=members)
        fill(copy, cls, take_apart(exc, cls))
        for link in (CAUSE, CONTEXT, SUPPRESS_CONTEXT, TRACEBACK):
            link.__set__(copy, link.__get__(exc))
        told = told_of(exc)
        if told is not None:
            keep(copy, told)
        return copy


_extender = Extender(_Received)
_tracebacks = Tracebacks()


class RemoteTraceback(Exception):
    """Shows a traceback of which only the text is left, as the cause of what is raised for it."""

    def __str__(self) -> str:
        return f'\n"""\n{self.args[0]}"""'


_BY_CODE: dict[str, type[TaskError]] = {
    cls.__name__: cls
    for cls in (MaxRuntimeExceededError, MaxQueuedTimeExceededError, DeadlineExceededError, TaskTimeoutError)
}


def _from_text(failure: Failure) -> TaskError:
    """The member of our tree that says what is left of a failure: its kind, code and message."""
    exc = _of_code(failure)
    told = Details(
        kind=failure.kind,
        code=failure.code,
        message=failure.message,
        action=failure.action,
        task=failure.task,
        attempts=failure.attempts,
        traceback=failure.traceback,
    )
    exc.code = failure.code
    keep(exc, told)
    if failure.traceback:
        exc.__cause__ = RemoteTraceback(failure.traceback)
    return exc


def _of_code(failure: Failure) -> TaskError:
    # Many exceptions say nothing but what they are.
    code, message = failure.code, failure.message or failure.code
    if failure.kind is not FailureKind.USER:
        return base_for(failure.kind)(message)
    if code == OOMError.__name__:
        oom = OOMError(code, message)
        oom.limit, oom.peak = failure.limit, failure.peak
        return oom
    if code in ("ExitCode", "Signal"):
        ended = TaskExitError(message)
        ended.exit_code, ended.signal = failure.exit_code, failure.signal
        return ended
    if code in _BY_CODE:
        return _BY_CODE[code](message)
    return TaskError(message) if failure.retryable else NonRecoverableError(message)
