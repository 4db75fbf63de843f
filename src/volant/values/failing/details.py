"""What is known of a failure, for every exception, and where it is kept."""

from collections.abc import Sequence
from typing import Any, cast

import msgspec

from volant.model.errors import TaskError
from volant.model.failures import FailureKind
from volant.values.failing.formatting import traceback_of
from volant.values.failing.introspection import ancestry, is_a, namespace, type_name, type_place
from volant.values.failing.parts import ATTRIBUTES, DETAILS
from volant.values.failing.text import encodable, message_of

ORIGINAL = "__volant_original__"
"""Where an extended class (`volant.values.failing.classes`) names the class that it extends."""

_MODEL = TaskError.__module__


class Details(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a failure."""

    kind: FailureKind = FailureKind.USER
    """Whose failure it is."""
    code: str
    """The exception's own `code` when that is a non-empty string, else the name of its type."""
    message: str = ""
    """`str(exception)`."""
    action: str = ""
    """Id of the action that failed; empty for an exception that no call raised."""
    task: str = ""
    """Full name of the task that failed; empty for an exception that no call raised."""
    attempts: int = 0
    """How many attempts the action had; 0 for an exception that no call raised."""
    traceback: str = ""
    """The formatted traceback: that of the process that raised it, else that of this one."""


def original_class(cls: type) -> type:
    """The class itself, or the one that it extends."""
    return next((namespace(k)[ORIGINAL] for k in ancestry(cls) if ORIGINAL in namespace(k)), cls)


def is_extended(cls: type) -> bool:
    """Whether a class was made by `volant.values.failing.classes`, or derives from one that was."""
    return any(ORIGINAL in namespace(k) for k in ancestry(cls))


def details(exc: BaseException) -> Details:
    """Tell what is known of any exception, wherever it came from.

    For one that a task raised: what the caller was told, also where the object could not be made a `TaskError`
    (`KeyboardInterrupt`, classes in C with hidden state). For any other one: what can be read off it.
    """
    told = told_of(exc)
    if told is not None and told.traceback:
        return told
    if told is None:
        told = _read_off(exc)
    return told if told.traceback else msgspec.structs.replace(told, traceback=traceback_of(exc))


def told_of(exc: BaseException) -> Details | None:
    """What was kept with an exception that came from another process; None when nothing was."""
    cls = type(exc)
    if is_extended(cls):
        try:
            kept = slot(cls).__get__(exc)
        except AttributeError:  # made by hand: `type(received)("again")`
            return None
    else:
        kept = ATTRIBUTES.__get__(exc).get(DETAILS)
    if is_a(kept, Details):
        return kept
    read = _read_off(exc) if is_a(exc, TaskError) else None
    return read if read is not None and read.action else None


def keep(exc: BaseException, told: Details) -> None:
    """Keep details with an exception: unseen where its class was extended, else among its attributes."""
    cls = type(exc)
    attributes: dict[str, Any] = ATTRIBUTES.__get__(exc)
    if is_extended(cls):
        slot(cls).__set__(exc, told)
    elif is_a(exc, TaskError):
        documented = {
            "code": told.code,
            "kind": str(told.kind),
            "action": told.action,
            "task": told.task,
            "attempts": told.attempts,
            "remote_traceback": told.traceback,
        }
        for name, value in documented.items():
            own = (name == "code" and name in attributes) or (name == "remote_traceback" and not value)
            if not own and not _is_redefined(cls, name):
                attributes[name] = value
    else:
        attributes[DETAILS] = told


def slot(cls: type) -> Any:
    """The descriptor of the slot in which instances of an extended class keep their details."""
    return next(namespace(k)[DETAILS] for k in ancestry(cls) if ORIGINAL in namespace(k))


def code_of(exc: BaseException) -> str:
    """The exception's own `code` when that is a non-empty string, else the name of its (original) type."""
    cls = type(exc)
    name = type_name(original_class(cls))
    if is_a(exc, SystemExit):  # its `code` is an exit status, or a message
        return name
    if not is_extended(cls) and is_a(exc, TaskError) and not _is_redefined(cls, "code"):
        own = ATTRIBUTES.__get__(exc).get("code")
    else:
        own = _asked(exc, "code")
    return (encodable(own) if is_a(own, str) else "") or name


def kind_of(exc: BaseException) -> FailureKind:
    """Whose failure an exception says it is; the user's when it says nothing."""
    if not is_a(exc, TaskError):
        return FailureKind.USER
    kind = _asked(exc, "kind")
    text = encodable(kind) if is_a(kind, str) else ""
    return FailureKind(text) if text in _KINDS else FailureKind.USER


_KINDS: Sequence[str] = [str(kind) for kind in FailureKind]


def _read_off(exc: BaseException) -> Details:
    task_error = is_a(exc, TaskError)
    action, task = (_asked(exc, name) if task_error else "" for name in ("action", "task"))
    attempts = _asked(exc, "attempts") if task_error else 0
    remote = _asked(exc, "remote_traceback") if task_error else ""
    return Details(
        kind=kind_of(exc),
        code=code_of(exc),
        message=message_of(exc),
        action=encodable(action) if is_a(action, str) else "",
        task=encodable(task) if is_a(task, str) else "",
        attempts=attempts if type(attempts) is int and 0 <= attempts < 2**31 else 0,
        traceback=encodable(remote) if is_a(remote, str) else "",
    )


def _is_redefined(cls: type, name: str) -> bool:
    """Whether a class of the user's gives an attribute of `TaskError` a meaning of its own."""
    owner = next(k for k in ancestry(cls) if name in namespace(k))
    return type_place(owner)[0] != _MODEL


def _asked(exc: BaseException, name: str) -> object:
    try:
        return cast(object, getattr(exc, name, None))
    except BaseException:  # noqa: BLE001  # a `__getattr__` or property of the user's, while a failure is recorded
        return None
