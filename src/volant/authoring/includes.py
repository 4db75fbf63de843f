"""Files that travel beside the code: paths and globs, relative to the file that declares the environment."""

import glob
import os

from volant.authoring.validation import refuse_value, texts


def checked_patterns(where: str, value: object, folder: str) -> tuple[str, ...]:
    """Patterns that each match something under *folder*."""
    patterns = texts(where, "include", value)
    for pattern in patterns:
        whole = os.path.join(glob.escape(folder), pattern)
        if next(glob.iglob(whole, recursive=True, include_hidden=True), None) is None:
            hint = "patterns are relative to the file that declares the environment"
            refuse_value(where, "include", pattern, f"a path or glob that matches something in {folder}", hint=hint)
    return tuple(dict.fromkeys(patterns))
