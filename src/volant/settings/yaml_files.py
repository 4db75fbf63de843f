"""Settings files of others that are YAML. PyYAML is not one of Volant's own dependencies."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from volant.model.errors import SettingsError


def read_yaml(path: Path) -> Mapping[str, Any]:
    """The sections of a YAML file.

    Raises:
        SettingsError: it cannot be read, is not YAML, or PyYAML is not installed.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror or error}"
        raise SettingsError(msg) from error
    try:
        yaml: Any = importlib.import_module("yaml")
    except ImportError as error:
        msg = f"{path} is YAML, which needs the package PyYAML"
        raise SettingsError(msg, hint="pip install pyyaml, or call volant.init(...) instead") from error
    try:
        found: object = yaml.safe_load(text)
    except yaml.YAMLError as error:
        msg = f"{path} is not YAML: {error}"
        raise SettingsError(msg) from error
    if found is None:
        return {}
    if not isinstance(found, Mapping):
        msg = f"{path}: found {type(found).__name__}, wanted sections such as admin and task"
        raise SettingsError(msg)
    return cast("Mapping[str, Any]", found)
