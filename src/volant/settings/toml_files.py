"""Settings files of our own."""

import re
import tomllib
from pathlib import Path
from typing import Any

from volant.model.errors import SettingsError

_PLACE = re.compile(r"\s*\(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)$")


def read_toml(path: Path, *, only_with: str = "") -> dict[str, Any]:
    """The tables of *path*; nothing when it is not there or does not say *only_with*.

    Raises:
        SettingsError: it cannot be read or is not TOML; the message names file, line and column.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror or error}"
        raise SettingsError(msg) from error
    except UnicodeDecodeError as error:
        msg = f"{path} is not TOML: byte {error.start} is not UTF-8"
        raise SettingsError(msg) from error
    if only_with not in text:
        return {}
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(_syntax_message(path, text, str(error))) from error


def _syntax_message(path: Path, text: str, message: str) -> str:
    found = _PLACE.search(message)
    what = message[: found.start()] if found else message
    if found and found["line"]:
        line, column = found["line"], found["column"]
    else:
        line, column = str(text.count("\n") + 1), str(len(text) - text.rfind("\n"))
    what = what[:1].lower() + what[1:]
    return f"{path}:{line}:{column} is not TOML: {what}"
