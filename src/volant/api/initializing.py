"""`volant.init` and `volant.init_from_config`: optional, since everything has a default."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from volant.api.program import program
from volant.authoring.validation import known_keywords, path_text, refuse_type
from volant.kit.nearest import did_you_mean
from volant.model.errors import DefinitionError, SettingsError, UnknownParameterError
from volant.settings.yaml_files import read_yaml

_SETTINGS = ("home", "database", "blobs", "mode", "grace_period", "strict")
_OTHERS = ("endpoint", "project", "domain", "org", "log_level")


@known_keywords("volant.init")
def init(
    *,
    home: str | os.PathLike[str] | None = None,
    database: str | None = None,
    blobs: str | None = None,
    mode: str | None = None,
    grace_period: float | None = None,
    strict: bool | None = None,
    endpoint: str | None = None,
    project: str | None = None,
    domain: str | None = None,
    org: str | None = None,
    log_level: int | str | None = None,
    **unknown: object,
) -> None:
    """Set what the program would otherwise take from files and variables. A later call replaces what it names.

    Nothing has to be set: everything has a default. Nothing is started or written.

    Args:
        home: folder of the journal, default `~/.volant`.
        database: URL of the journal, default SQLite in the home.
        blobs: URL of the store of large values, default a folder in the home.
        mode: `local` or `inline`; the variable `VOLANT_MODE` wins over it.
        grace_period: seconds between SIGTERM and SIGKILL, default 5.
        strict: whether to refuse what would otherwise be warned about.
        endpoint: of a server; without one runs are executed on this machine.
        project: a name that only a server knows.
        domain: a name that only a server knows.
        org: a name that only a server knows.
        log_level: of `volant.logger`, such as `"INFO"` or `logging.INFO`.

    Raises:
        UnknownParameterError: a parameter that there is not; the nearest one is named.
        SettingsError: a value that does not parse.
    """
    if unknown:
        name = next(iter(unknown))
        msg = f"volant.init: there is no parameter {name!r}{did_you_mean(name, (*_SETTINGS, *_OTHERS))}"
        raise UnknownParameterError(msg, hint=f"the parameters are {', '.join((*_SETTINGS, *_OTHERS))}")
    for name, value in (("endpoint", endpoint), ("project", project), ("domain", domain), ("org", org)):
        if value is not None and not isinstance(value, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            refuse_type("volant.init", name, value, "a str")
    given = {
        "home": home,
        "database": database,
        "blobs": blobs,
        "mode": mode,
        "grace_period": grace_period,
        "strict": strict,
    }
    chosen = {name: value for name, value in given.items() if value is not None}
    program.settings(chosen)  # refuses what does not parse, at the line where it was written
    program.arguments.update(chosen)
    if endpoint is not None:
        program.endpoint = endpoint
        if "mode" not in program.arguments:
            program.arguments["mode"] = "remote"
    if log_level is not None:
        _set_log_level(log_level)


def init_from_config(path: str | os.PathLike[str] | None = None) -> None:
    """Take from a Flyte `config.yaml` what applies here: the endpoint, project and domain.

    Without a *path* the places are looked at where Flyte looks: `./config.yaml`, `./.flyte/config.yaml` and
    `~/.flyte/config.yaml`. No endpoint, or no file there, means this machine.

    Raises:
        SettingsError: the named file is not there, is no YAML, or PyYAML is not installed.
    """
    found = _find_config(path)
    if found is None:
        return
    config = read_yaml(found)
    admin, task = _table(config, "admin", found), _table(config, "task", found)
    init(
        endpoint=_text(admin, "endpoint", found),
        project=_text(task, "project", found),
        domain=_text(task, "domain", found),
        org=_text(task, "org", found),
    )


def _find_config(path: str | os.PathLike[str] | None) -> Path | None:
    if path is not None:
        return Path(path_text("volant.init_from_config", "path", path)).expanduser()
    places = (Path("config.yaml"), Path(".flyte/config.yaml"), Path("~/.flyte/config.yaml").expanduser())
    return next((place for place in places if place.is_file()), None)


def _table(config: Mapping[str, Any], name: str, path: Path) -> Mapping[str, Any]:
    found: object = config.get(name) or {}
    if not isinstance(found, Mapping):
        msg = f"{path}: {name}: found {found!r}, wanted a section"
        raise SettingsError(msg)
    return cast("Mapping[str, Any]", found)


def _text(table: Mapping[str, Any], name: str, path: Path) -> str | None:
    found = table.get(name)
    if found is None or isinstance(found, str):
        return found or None
    msg = f"{path}: {name}: found {found!r}, wanted some text"
    raise SettingsError(msg)


def _set_log_level(level: object) -> None:
    try:
        logging.getLogger("volant").setLevel(level.upper() if isinstance(level, str) else cast("int", level))
    except (ValueError, TypeError) as error:
        msg = f"volant.init: log_level is {level!r}, expected a level such as 'INFO' or logging.INFO"
        raise DefinitionError(msg, hint="for example volant.init(log_level='DEBUG')") from error
