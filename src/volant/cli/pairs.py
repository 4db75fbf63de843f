"""`NAME=VALUE` on the command line."""

from collections.abc import Sequence

import click


def name_value_pairs(option: str, texts: Sequence[str]) -> dict[str, str]:
    """What the texts of an option say; the last one of a name counts."""
    pairs: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            msg = f"{option}: found {text!r}, expected NAME=VALUE"
            raise click.UsageError(msg)
        pairs[name] = value
    return pairs
