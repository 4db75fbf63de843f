"""Text and names from objects that may do anything when they are asked for them.

Whatever user code defines (`__str__`, `__repr__`, `__getattr__`, a metaclass) may raise, and what it returns may be
endless or hold half a surrogate pair. The functions here never raise and return bounded, encodable text.
"""

import os
import reprlib
import traceback
from collections.abc import Callable, Sequence
from typing import Any, cast

MAX_MESSAGE = 64 * 1024
"""Characters of a message that are kept."""
MAX_TRACEBACK = 256 * 1024
"""Characters of a formatted traceback that are kept."""
MAX_REPR = 1000
"""Characters that stand for a value which could not be carried."""

_NAME = type.__dict__["__name__"]
_QUALNAME = type.__dict__["__qualname__"]
_MODULE = type.__dict__["__module__"]
_MRO = type.__dict__["__mro__"]
_NOT_SHOWN = "<exception str() failed>"


class Unsendable:
    """Stands where a value stood that could not be carried to another process; its text is that value's.

    An attribute that is merely missing would break a `__str__` that shows it.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text

    def __dir__(self) -> list[str]:
        # Or a traceback would suggest our names to whoever misspelt an attribute of the original.
        return []

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Unsendable) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> tuple[Any, ...]:
        return (Unsendable, (self._text,))


def stand_in(value: object) -> Unsendable:
    """What takes the place of a value that cannot be carried."""
    if type(value) is str:
        return Unsendable(clip(encodable(value[: MAX_REPR + 1]), MAX_REPR))
    return Unsendable(clip(_shown(lambda: _short.repr(value), f"<{type_name(type(value))} object>"), MAX_REPR))


def type_name(cls: type) -> str:
    """The name a class was given, whatever its metaclass pretends."""
    return encodable(_NAME.__get__(cls))


def type_place(cls: type) -> tuple[str, str]:
    """Module and qualified name of a class."""
    try:
        module = _MODULE.__get__(cls)
    except AttributeError:
        module = ""
    return module if isinstance(module, str) else "", _QUALNAME.__get__(cls)


def ancestry(cls: type) -> tuple[type, ...]:
    """The method resolution order of a class, whatever its metaclass pretends."""
    return cast(tuple[type, ...], _MRO.__get__(cls))


def message_of(exc: BaseException) -> str:
    """`str(exc)`, or a sentence that says that there is none."""
    return clip(_shown(lambda: str(exc), _NOT_SHOWN), MAX_MESSAGE)


def encodable(text: str) -> str:
    """The text as a plain `str` that UTF-8 can hold: lone surrogates (undecodable file names) are written out."""
    return str.encode(text, "utf-8", "backslashreplace").decode("utf-8")


def clip(text: str, limit: int) -> str:
    """The text, or its beginning and end around a sentence that says how much is missing."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]} ... [{len(text) - 2 * half} characters left out] ... {text[-half:]}"


def within(filename: str, folders: Sequence[str]) -> bool:
    """Whether a file lies in one of the folders or below it."""
    return any(filename.startswith(folder.rstrip(os.sep) + os.sep) for folder in folders)


def traceback_of(exc: BaseException, *, skip_frames_of: Sequence[str] = ()) -> str:
    """The formatted traceback with its causes, contexts and group members, without the frames of some folders."""

    def formatted() -> str:
        report = traceback.TracebackException.from_exception(exc, compact=True)
        _leave_out(report, skip_frames_of)
        return "".join(report.format())

    # `traceback` asks the exception for notes and more, so a hostile one makes it fail: then the last line is enough.
    name, qualname = type_place(type(exc))
    plain = f"{name}.{qualname}" if name not in ("", "builtins", "__main__") else qualname
    return clip(_shown(formatted, "") or f"{encodable(plain)}: {message_of(exc)}\n", MAX_TRACEBACK)


def _leave_out(report: traceback.TracebackException, folders: Sequence[str]) -> None:
    pending, seen = [report], set[int]()
    while pending:
        one = pending.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        one.stack[:] = [frame for frame in one.stack if not within(frame.filename, folders)]
        pending.extend(other for other in (one.__cause__, one.__context__, *(one.exceptions or ())) if other)


def _shown(ask: Callable[[], str], otherwise: str) -> str:
    try:
        return encodable(ask())
    except BaseException:  # noqa: BLE001  # user code answers here, and a failure is being recorded: nothing may escape
        return otherwise


def _short_repr() -> reprlib.Repr:
    short = reprlib.Repr()
    short.maxstring = short.maxother = short.maxlong = MAX_REPR // 2
    return short


_short = _short_repr()
