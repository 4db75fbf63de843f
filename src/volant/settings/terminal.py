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


def _is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # it was closed
        return False
