"""Text from objects that may do anything when they are asked for them.

Whatever user code defines (`__str__`, `__repr__`) may raise, and what it returns may be
endless or hold half a surrogate pair. The functions here never raise and return bounded, encodable text.
"""

import reprlib
from collections.abc import Callable
from typing import Any

MAX_MESSAGE = 64 * 1024
"""Characters of a message that are kept."""
MAX_REPR = 1000
"""Characters that stand for a value which could not be carried."""

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
    return Unsendable(clip(shown(lambda: _short.repr(value), "<no text>"), MAX_REPR))


def message_of(exc: BaseException) -> str:
    """`str(exc)`, or a sentence that says that there is none."""
    return clip(shown(lambda: str(exc), _NOT_SHOWN), MAX_MESSAGE)


def encodable(text: str) -> str:
    """The text as a plain `str` that UTF-8 can hold: lone surrogates (undecodable file names) are written out."""
    return str.encode(text, "utf-8", "backslashreplace").decode("utf-8")


def clip(text: str, limit: int) -> str:
    """The text, or its beginning and end around a sentence that says how much is missing."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]} ... [{len(text) - 2 * half} characters left out] ... {text[-half:]}"


def shown(ask: Callable[[], str], otherwise: str) -> str:
    """The text that user code gives, made encodable; another one where it gives none."""
    try:
        return encodable(ask())
    except BaseException:  # noqa: BLE001  # user code answers here, and a failure is being recorded: nothing may escape
        return otherwise


def _short_repr() -> reprlib.Repr:
    short = reprlib.Repr()
    short.maxstring = short.maxother = short.maxlong = MAX_REPR // 2
    return short


_short = _short_repr()
