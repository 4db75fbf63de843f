"""The name that someone probably meant."""

import difflib
from collections.abc import Iterable


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The most similar of *names*, or None when none is similar."""
    found = difflib.get_close_matches(name, list(names), n=1, cutoff=0.6)
    return found[0] if found else None


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """A clause for the end of a message, empty when no name is similar."""
    found = nearest(name, names)
    return f"; did you mean {found!r}?" if found else ""
