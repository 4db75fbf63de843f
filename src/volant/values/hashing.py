"""How a file or a frame is recognised where its content is not what counts."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from volant.model.errors import ArgumentError
from volant.values.wire import found


class HashFunction:
    """A function that says what a value is recognised by."""

    def __init__(self, function: Callable[[Any], str]) -> None:
        self._function = function

    @classmethod
    def from_fn(cls, function: Callable[[Any], str]) -> "HashFunction":
        """*function* gets the path of a file, or a frame, and returns what equal ones share."""
        return cls(function)

    def __call__(self, value: Any) -> str:
        """The hash of *value*.

        Raises:
            ArgumentError: the function did not return text.
        """
        result: Any = self._function(value)
        if not isinstance(result, str):
            raise ArgumentError(f"HashFunction: the function returned {found(result)}, wanted a str")
        return result


HashMethod = HashFunction | str | None
"""A function, what is known already, or None: by content."""


def hash_of(method: HashMethod, value: Path | Any) -> str | None:
    """What a value is recognised by; None for its content.

    Raises:
        ArgumentError: a function was given where there is no content yet.
    """
    if not isinstance(method, HashFunction):
        return method
    if value is None:
        raise ArgumentError("hash_method: found a function, wanted a str for a file that is not written yet")
    return method(value)
