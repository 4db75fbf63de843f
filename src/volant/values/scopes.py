"""Where the names in a function's annotations are looked up.

`from __future__ import annotations` turns annotations into strings, and a string does not close
over the function body it was written in. So the enclosing frames are asked while they are still
there, at decoration; a name that is not defined yet is asked for again at first use.
"""

import inspect
import sys
import types
from collections.abc import Callable, Mapping
from typing import Any, Final

from volant.values.annotations import evaluate

_FARTHEST: Final = 32
"""Frames between a decorator and the function body it is used in."""


class Scope:
    """The namespaces of one function."""

    __slots__ = ("frames", "function")

    def __init__(self, function: Callable[..., Any], frames: tuple[types.FrameType, ...] = ()) -> None:
        self.function: Any = inspect.unwrap(function)
        self.frames = frames

    @classmethod
    def of(cls, function: Callable[..., Any]) -> "Scope":
        """The scope of a function that is being decorated right now, further down the stack."""
        plain: Any = inspect.unwrap(function)
        qualname: str = getattr(plain, "__qualname__", "")
        return cls(function, _enclosing_frames(plain, qualname) if "." in qualname else ())

    def evaluate(self, annotation: Any) -> Any:
        """The annotation without strings.

        Raises:
            Exception: whatever evaluating it raises, usually `NameError`.
        """
        return evaluate(annotation, getattr(self.function, "__globals__", {}), self._locals())

    def _locals(self) -> Mapping[str, Any]:
        names: dict[str, Any] = {}
        for frame in reversed(self.frames):
            names.update(frame.f_locals)
        names.update(_closure(self.function))
        names.update({param.__name__: param for param in getattr(self.function, "__type_params__", ())})
        return names


def _closure(function: Any) -> dict[str, Any]:
    code = getattr(function, "__code__", None)
    found: dict[str, Any] = {}
    for name, cell in zip(code.co_freevars if code else (), getattr(function, "__closure__", None) or (), strict=False):
        try:
            found[name] = cell.cell_contents
        except ValueError:  # the enclosing body has not assigned it yet
            continue
    return found


def _enclosing_frames(function: Any, qualname: str) -> tuple[types.FrameType, ...]:
    """The frames of the bodies around it, innermost first."""
    frames: list[types.FrameType] = []
    frame: types.FrameType | None = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
    for _ in range(_FARTHEST):
        if frame is None:
            break
        if frame.f_globals is getattr(function, "__globals__", None) and qualname.startswith(
            (f"{frame.f_code.co_qualname}.<locals>.", f"{frame.f_code.co_qualname}.")
        ):
            frames.append(frame)
        frame = frame.f_back
    return tuple(frames)
