"""Where in the user's source something is declared, and whether that source is being executed again.

A notebook cell that is run twice, `importlib.reload`, or a function that is called twice declare
the same thing again; a second declaration elsewhere under the same name is a mistake.
"""

import inspect
import os
from types import CodeType, FrameType
from typing import Any

_NOT_THE_USERS = frozenset({__name__.partition(".")[0], "functools", "typing"})
"""Packages whose frames may stand between a definition and the code that makes it."""


class Declaration:
    """A place in the user's source."""

    __slots__ = ("code", "file", "line", "module", "qualname")

    def __init__(self, *, file: str, line: int, qualname: str, module: str, code: CodeType | None) -> None:
        self.file = file
        self.line = line
        self.qualname = qualname
        self.module = module
        self.code = code

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (self.file, self.line, self.qualname, self.module)

    @property
    def folder(self) -> str:
        """The folder of the file, or the working directory where there is no file."""
        if os.path.isfile(self.file):
            return os.path.dirname(os.path.abspath(self.file))
        return os.getcwd()

    def is_same_source(self, other: "Declaration") -> bool:
        """Whether the source of *other* is executed again here."""
        if self.module == "__main__" == other.module and not os.path.isfile(self.file):
            # A notebook or a REPL: an edited cell is another file, so only one statement can be told from another.
            return self.code is not other.code or self.line == other.line
        if self.file != other.file or self.qualname != other.qualname:
            return False
        # Code that was compiled anew (a reloaded, edited module) may have moved; the same code object has not.
        return self.line == other.line or self.code is not other.code


def declared_by_caller() -> Declaration:
    """The nearest line of the stack that is the user's."""
    frame = inspect.currentframe()
    while frame is not None and _is_own(frame):
        frame = frame.f_back
    if frame is None:
        return Declaration(file="", line=0, qualname="", module="", code=None)
    return Declaration(
        file=frame.f_code.co_filename,
        line=frame.f_lineno,
        qualname=frame.f_code.co_qualname,
        module=str(frame.f_globals.get("__name__", "")),
        code=frame.f_code,
    )


def _is_own(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0] in _NOT_THE_USERS


def _restored(file: str, line: int, qualname: str, module: str) -> Declaration:
    return Declaration(file=file, line=line, qualname=qualname, module=module, code=None)
