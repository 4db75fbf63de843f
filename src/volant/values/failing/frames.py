"""Tracebacks as data, and back again as traceback objects.

A child's traceback could be shown as a note or as a cause of the exception. Both belong to the user, so the traceback
is rebuilt instead: frames that never run, with the file, line, columns and function of the original ones. Whatever
prints exceptions shows the parent's frames and then the child's, for causes and members of groups too, and nothing
else of the exception is touched.
"""

import ast
from collections.abc import Sequence
from itertools import compress, islice
from types import CodeType, TracebackType
from typing import Any

import msgspec

from volant.values.failing.formatting import kept
from volant.values.failing.introspection import is_a
from volant.values.failing.text import encodable

MAX_FRAMES = 128
"""Frames kept at either end of a traceback: enough for people, and a runaway recursion stays small."""
_MAX_CACHED = 2048

_Positions = tuple[int | None, int | None, int | None, int | None]


class Frame(msgspec.Struct, frozen=True, array_like=True):
    """One line of a traceback; a number that is not known is -1."""

    filename: str
    function: str
    module: str
    first_line: int
    line: int
    end_line: int
    column: int
    end_column: int


def frames_of(tb: TracebackType | None, *, skip_frames_of: Sequence[str] = ()) -> list[Frame]:
    """The frames of a traceback, outermost first, without those whose file lies in one of the folders."""
    entries: list[TracebackType] = []
    while tb is not None:
        entries.append(tb)
        tb = tb.tb_next
    entries = list(compress(entries, kept([entry.tb_frame.f_code.co_filename for entry in entries], skip_frames_of)))
    if len(entries) > 2 * MAX_FRAMES:
        entries = entries[:MAX_FRAMES] + entries[-MAX_FRAMES:]
    return [_described(entry) for entry in entries]


class Tracebacks:
    """Builds traceback objects; frames that were built once serve every traceback that goes through them."""

    def __init__(self) -> None:
        self._built: dict[Frame, TracebackType] = {}

    def build(self, frames: Sequence[Frame]) -> TracebackType | None:
        """The traceback of some frames, outermost first; None of none."""
        tb: TracebackType | None = None
        for frame in reversed(frames):
            entry = self._entry(frame)
            if entry is not None:
                tb = TracebackType(tb, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
        return tb

    def _entry(self, frame: Frame) -> TracebackType | None:
        entry = self._built.get(frame)
        if entry is None:
            if len(self._built) >= _MAX_CACHED:
                self._built.clear()
            try:
                entry = self._built[frame] = _raised_at(frame)
            except (ValueError, OverflowError):  # a made-up name or number that no code can have: one frame less
                return None
        return entry


def _described(entry: TracebackType) -> Frame:
    code, module = entry.tb_frame.f_code, entry.tb_frame.f_globals.get("__name__")
    line, end_line, column, end_column = _positions(code, entry.tb_lasti)
    known = line is not None and None not in (end_line, column, end_column)
    line = (line if line is not None else entry.tb_lineno) or 1
    return Frame(
        filename=encodable(code.co_filename),
        function=encodable(code.co_name),
        module=encodable(module) if is_a(module, str) else "",
        # Tools that show the source of a frame begin there.
        first_line=min(max(code.co_firstlineno, 1), line),
        line=line,
        end_line=end_line or -1 if known else -1,
        column=column if known and column is not None else -1,
        end_column=end_column if known and end_column is not None else -1,
    )


def _positions(code: CodeType, instruction: int) -> _Positions:
    if instruction < 0:
        return None, None, None, None
    return next(islice(code.co_positions(), instruction // 2, None), (None, None, None, None))


def _raised_at(frame: Frame) -> TracebackType:
    """The entry of a frame in which something was raised at exactly the place described."""
    # Lines of code are stored relative to its first one, which is set last.
    line, end_line = (n - frame.first_line + 1 for n in (frame.line, max(frame.line, frame.end_line)))
    column, end_column = frame.column, frame.end_column
    if end_line == line and end_column < column:
        column = end_column = -1
    place: dict[str, Any] = {
        "lineno": line,
        "end_lineno": end_line,
        "col_offset": column,
        "end_col_offset": end_column,
    }
    here = ast.Name(id="_Here", ctx=ast.Load(), **place)
    code = compile(ast.Module(body=[ast.Raise(exc=here, **place)], type_ignores=[]), frame.filename, "exec")
    code = code.replace(co_name=frame.function, co_qualname=frame.function, co_firstlineno=frame.first_line)
    try:
        exec(code, {"__name__": frame.module, "__file__": frame.filename, "_Here": _Here}, {})
    except _Here as raised:
        entry = raised.__traceback__
        while entry is not None and entry.tb_next is not None:
            entry = entry.tb_next
        if entry is not None:
            return entry
    raise AssertionError("a raise statement did not raise")


class _Here(Exception):
    """What the frames that are built raise."""
