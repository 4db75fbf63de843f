"""The line of a TOML file on which a value is written, which the parser of the standard library does not tell.

A prefix of whole lines that parses and does not have the key ends before the statement that sets it. So the
statement starts on the first line that makes the difference: exact, whatever way the key is spelt.
"""

import tomllib
from collections.abc import Sequence
from typing import Any, cast


def line_of(text: str, keys: Sequence[str]) -> int | None:
    """Where the value at the nested *keys* begins, counted from 1; None when the text does not have it."""
    lines = text.splitlines(keepends=True)
    for number, line in enumerate(lines):
        # Parsing is what costs; a line that does not even mention the name need not be tried.
        if keys[-1] not in line or not _lacks("".join(lines[:number]), keys):
            continue
        for end in range(number + 1, len(lines) + 1):
            table = _parse("".join(lines[:end]))
            if table is not None:
                if _has(table, keys):
                    return number + 1
                break
    return None


def _lacks(text: str, keys: Sequence[str]) -> bool:
    table = _parse(text)
    return table is not None and not _has(table, keys)


def _parse(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None


def _has(table: object, keys: Sequence[str]) -> bool:
    for key in keys:
        if not isinstance(table, dict) or key not in table:
            return False
        table = cast("dict[str, Any]", table)[key]
    return True
