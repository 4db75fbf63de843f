"""Tracebacks as text for people: the same that Python prints, without the frames of some folders, and bounded."""

import os
import traceback
from collections.abc import Sequence
from itertools import compress, groupby

from volant.values.failing.introspection import type_place
from volant.values.failing.parts import TRACEBACK
from volant.values.failing.text import clip, message_of, shown

MAX_TRACEBACK = 256 * 1024
"""Characters of a formatted traceback that are kept."""
_LIBRARY = os.path.dirname(os.__file__) + os.sep
_INSTALLED = ("site-packages", "dist-packages")


def within(filename: str, folders: Sequence[str]) -> bool:
    """Whether a file lies in one of the folders or below it."""
    return any(filename.startswith(folder.rstrip(os.sep) + os.sep) for folder in folders)


def kept(filenames: Sequence[str], folders: Sequence[str]) -> list[bool]:
    """Which frames of a traceback, outermost first, to show so that those of some folders are left out.

    What the standard library does between two of those (an event loop that was started there) goes with them.
    """
    kinds = ["left out" if within(name, folders) else _kind(name) for name in filenames]
    stretches = [(kind, len(list(frames))) for kind, frames in groupby(kinds)]
    shown_frames: list[bool] = []
    for at, (kind, length) in enumerate(stretches):
        around = [stretches[i][0] for i in (at - 1, at + 1) if 0 <= i < len(stretches)]
        is_inside = kind == "library" and around == ["left out", "left out"]
        shown_frames += [kind != "left out" and not is_inside] * length
    return shown_frames


def _kind(filename: str) -> str:
    is_library = filename.startswith(_LIBRARY) or filename.startswith("<frozen ")
    return "library" if is_library and not any(name in filename for name in _INSTALLED) else "other"


def traceback_of(exc: BaseException, *, skip_frames_of: Sequence[str] = ()) -> str:
    """The formatted traceback with its causes, contexts and group members. Never raises."""

    def whole() -> str:
        report = traceback.TracebackException.from_exception(exc, compact=True)
        _leave_out(report, skip_frames_of)
        return "".join(report.format())

    def frames_alone() -> str:
        found = traceback.extract_tb(TRACEBACK.__get__(exc))
        frames = list(compress(found, kept([frame.filename for frame in found], skip_frames_of)))
        return "Traceback (most recent call last):\n" + "".join(traceback.format_list(frames)) if frames else ""

    # `traceback` asks the exception for notes and more, so a hostile one makes it fail: then less has to do.
    text = shown(whole, "") or f"{shown(frames_alone, '')}{shown(lambda: _name(type(exc)), '?')}: {message_of(exc)}\n"
    return clip(text, MAX_TRACEBACK)


def _leave_out(report: traceback.TracebackException, folders: Sequence[str]) -> None:
    pending, seen = [report], set[int]()
    while pending:
        one = pending.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        one.stack[:] = compress(list(one.stack), kept([frame.filename for frame in one.stack], folders))
        pending.extend(other for other in (one.__cause__, one.__context__, *(one.exceptions or ())) if other)


def _name(cls: type) -> str:
    module, qualname = type_place(cls)
    return qualname if module in ("", "builtins", "__main__") else f"{module}.{qualname}"
