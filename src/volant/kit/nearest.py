"""The name that someone probably meant."""

from collections.abc import Iterable

_SHORTEST_BEGINNING = 3


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The most similar of *names*, whatever its case, or else the only one that begins so; else None."""
    # Only who misspelt something needs it.
    import difflib

    by_folded = {known.casefold(): known for known in names}
    folded = name.casefold()
    found = difflib.get_close_matches(folded, by_folded, n=1, cutoff=0.6)
    if not found and len(folded) >= _SHORTEST_BEGINNING:
        found = [known for known in by_folded if known.startswith(folded)]
    return by_folded[found[0]] if len(found) == 1 else None


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """A clause for the end of a message, empty when no name is similar."""
    found = nearest(name, names)
    return f"; did you mean {found!r}?" if found else ""
