"""What the environment says about how to show things: the conventions that terminals and build services share."""

import os
from collections.abc import Mapping
from typing import TextIO


def wants_colour(stream: TextIO | None, environ: Mapping[str, str] | None = None) -> bool:
    """Whether *stream* is a terminal whose user has nothing against colour (`NO_COLOR`, `TERM=dumb`)."""
    environ = os.environ if environ is None else environ
    return _is_terminal(stream) and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


def wants_drawing(stream: TextIO | None, environ: Mapping[str, str] | None = None) -> bool:
    """Whether *stream* is a terminal on which things may be drawn over; the log of a build (`CI`) is none."""
    environ = os.environ if environ is None else environ
    return wants_colour(stream, environ) and not environ.get("CI")


def rewraps_lines(environ: Mapping[str, str] | None = None) -> bool:
    """Whether the terminal breaks lines anew when it gets narrower, as nearly all do; the others cut them.

    What runs in it says so: xterm and GNU screen name themselves, unless tmux, which does rewrap, is in between.
    """
    environ = os.environ if environ is None else environ
    if environ.get("TMUX"):
        return True
    kind = environ.get("TERM", "")
    return not (environ.get("XTERM_VERSION") or environ.get("STY") or kind in _CUTTING or kind.startswith("rxvt"))


_CUTTING = frozenset({"linux", "vt100", "vt220", "xterm-old"})
"""Values of `TERM`."""


def _is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # it was closed
        return False
