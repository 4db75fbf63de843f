"""From all sources to one tree; the only place that reads the environment and the settings files.

Defaults, the home's `config.toml`, `[tool.volant]` of the nearest `pyproject.toml`, `VOLANT_*` variables, arguments
written in a program, command-line flags: later ones win. `VOLANT_MODE` also wins over a mode written in a program.
"""

import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple, cast

from volant.kit.homes import absolute_home, config_path
from volant.kit.nearest import did_you_mean
from volant.model.errors import SettingsError
from volant.settings.machine import usable_cpu, usable_memory, visible_gpus
from volant.settings.parsing import PARSERS, QUEUES, SECTIONS, Unparsable, parse_queue
from volant.settings.tree import (
    CapacitySettings,
    EngineSettings,
    Mode,
    QueueSettings,
    Settings,
    Source,
    SourceKind,
)

VARIABLES: Mapping[str, str] = {f"VOLANT_{name.replace('.', '_').upper()}": name for name in PARSERS}
"""Names of settings by the environment variables that set them."""

QUEUES_VARIABLE = "VOLANT_QUEUES"
"""All queues as JSON: `{"gpu": {"max_running": 2}}`."""

# Not settings: what Volant itself puts into the environment of an attempt.
_OWN_VARIABLES = frozenset({"VOLANT_SECRETS_DIR"})

_QUEUE_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?", re.ASCII)


class Candidate(NamedTuple):
    """One value as it was written, and where."""

    name: str
    raw: object
    source: Source


def load_settings(
    *,
    flags: Mapping[str, object] | None = None,
    arguments: Mapping[str, object] | None = None,
    flags_place: str = "the command line",
    arguments_place: str = "the program",
    environ: Mapping[str, str] | None = None,
    start: Path | None = None,
    use_project: bool = True,
) -> Settings:
    """Merge all sources.

    *flags* and *arguments* are by dotted name; None among them means not given. *start* is where the search for
    `pyproject.toml` begins, by default the current folder. An engine serves many projects: it passes
    `use_project=False`.

    Raises:
        SettingsError: a value does not parse or a name is unknown; the message names source, name, found and wanted.
    """
    environ = os.environ if environ is None else environ
    project = list(_from_project(Path.cwd() if start is None else start)) if use_project else []
    variables = list(_from_variables(environ))
    program = list(_from_mapping(arguments or {}, Source(kind=SourceKind.ARGUMENT, place=arguments_place)))
    flagged = list(_from_mapping(flags or {}, Source(kind=SourceKind.FLAG, place=flags_place)))
    if any(candidate.name == "mode" for candidate in variables):
        program = [candidate for candidate in program if candidate.name != "mode" or _refuse_bad(candidate)]
    stronger = [*project, *variables, *program, *flagged]
    home = _find_home(stronger)
    return _build(home, [*_from_home(home), *stronger], environ)


def engine_environ(settings: Settings, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment for an engine that this client starts.

    An engine does not look for a `pyproject.toml`; what the client found there for it travels as variables.
    """
    found = dict(os.environ if environ is None else environ)
    for name, source in settings.sources.items():
        if source.kind not in {SourceKind.PROJECT, SourceKind.ARGUMENT, SourceKind.FLAG} or name.startswith(QUEUES):
            continue
        value = _as_text(settings, name)
        if value is not None and name not in {"home", "mode"}:
            found[f"VOLANT_{name.replace('.', '_').upper()}"] = value
    if any(name.startswith(QUEUES) for name in settings.sources):
        found[QUEUES_VARIABLE] = json.dumps({name: _as_table(queue) for name, queue in settings.queues.items()})
    return found


def _as_table(queue: QueueSettings) -> dict[str, int]:
    table = {"max_running": queue.max_running, "priority": queue.priority}
    return {name: value for name, value in table.items() if value is not None}


def submission_environ(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables that a run's attempts see. One whose bytes are no text cannot be sent and is left out."""
    found = os.environ if environ is None else environ
    return {name: value for name, value in found.items() if _is_text(name) and _is_text(value)}


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _find_home(candidates: list[Candidate]) -> Path:
    home = absolute_home("~/.volant")
    for candidate in candidates:
        if candidate.name == "home":
            home = cast("Path", _parse(candidate))
    return home


def _from_home(home: Path) -> Iterator[Candidate]:
    path = config_path(home)
    source = Source(kind=SourceKind.HOME, place=str(path))
    for candidate in _from_table(_read_toml(path), source):
        if candidate.name == "home":
            msg = f"{path}: home cannot be set in the settings of a home"
            raise SettingsError(msg, hint="set VOLANT_HOME, or home in [tool.volant] of a pyproject.toml")
        yield candidate


def _from_project(start: Path) -> Iterator[Candidate]:
    for folder in (start, *start.parents):
        path = folder / "pyproject.toml"
        if not path.is_file():
            continue
        tool = _read_toml(path, only_with="volant").get("tool", {})
        table = cast("dict[str, Any]", tool).get("volant") if isinstance(tool, dict) else None
        if table is not None:
            source = Source(kind=SourceKind.PROJECT, place=f"[tool.volant] in {path}")
            for candidate in _from_table(table, source):
                # A path in a project's file is relative to that file, not to wherever one happens to stand.
                if candidate.name == "home" and isinstance(candidate.raw, str) and candidate.raw:
                    yield candidate._replace(raw=str(folder / Path(candidate.raw).expanduser()))
                else:
                    yield candidate
        return


def _read_toml(path: Path, *, only_with: str = "") -> dict[str, Any]:
    """The tables of *path*; nothing when it is not there or does not say *only_with*."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path} cannot be read: {error}"
        raise SettingsError(msg) from error
    if only_with not in text:
        return {}
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        msg = f"{path} is not TOML: {error}"
        raise SettingsError(msg) from error


def _from_table(table: object, source: Source) -> Iterator[Candidate]:
    if not isinstance(table, dict):
        msg = f"{source}: found {table!r}, wanted a table of settings"
        raise SettingsError(msg)
    for key, value in cast("dict[str, Any]", table).items():
        if key in SECTIONS and isinstance(value, dict):
            for inner, raw in cast("dict[str, Any]", value).items():
                yield _known(f"{key}.{inner}", raw, source)
        else:
            yield _known(key, value, source)


def _from_mapping(values: Mapping[str, object], source: Source) -> Iterator[Candidate]:
    for name, raw in values.items():
        if raw is not None:
            yield _known(name, raw, source)


def _from_variables(environ: Mapping[str, str]) -> Iterator[Candidate]:
    for variable in sorted(environ):
        if not variable.startswith("VOLANT_") or variable in _OWN_VARIABLES:
            continue
        source = Source(kind=SourceKind.VARIABLE, place=variable)
        if variable == QUEUES_VARIABLE:
            yield from _from_queues(environ[variable], source)
        elif variable in VARIABLES:
            yield Candidate(VARIABLES[variable], environ[variable], source)
        else:
            _refuse_misspelt(variable)


def _from_queues(text: str, source: Source) -> Iterator[Candidate]:
    try:
        queues: object = json.loads(text)
    except ValueError:
        queues = None
    if not isinstance(queues, dict):
        msg = f'{source}: found {text!r}, wanted queues as JSON such as {{"gpu": {{"max_running": 2}}}}'
        raise SettingsError(msg)
    for name, raw in cast("dict[str, Any]", queues).items():
        yield _known(f"{QUEUES}{name}", raw, source)


def _refuse_misspelt(variable: str) -> None:
    """Others may use the prefix too: Kubernetes sets `VOLANT_PORT` for a service called volant. So a strange name is
    refused where it looks like one of ours, and left alone otherwise."""
    suggestion = did_you_mean(variable, VARIABLES)
    close = did_you_mean(variable.removeprefix("VOLANT_"), [name.removeprefix("VOLANT_") for name in VARIABLES])
    is_in_section = variable.startswith(("VOLANT_CAPACITY_", "VOLANT_ENGINE_"))
    if is_in_section or (suggestion and close):
        msg = f"{variable} is not a setting{suggestion}"
        raise SettingsError(msg, hint=f"the variables are {', '.join(sorted((*VARIABLES, QUEUES_VARIABLE)))}")


def _known(name: str, raw: object, source: Source) -> Candidate:
    if name.startswith(QUEUES):
        if not _QUEUE_NAME.fullmatch(name.removeprefix(QUEUES)):
            msg = f"{source}: {name.removeprefix(QUEUES)!r} is not a queue's name: letters, digits, '.', '-', '_'"
            raise SettingsError(msg)
    elif name not in PARSERS:
        msg = f"{source}: there is no setting {name!r}{did_you_mean(name, [*PARSERS, 'queues'])}"
        raise SettingsError(msg, hint=f"the settings are {', '.join(PARSERS)} and queues.<name>")
    return Candidate(name, raw, source)


def _parse(candidate: Candidate) -> object:
    parser = parse_queue if candidate.name.startswith(QUEUES) else PARSERS[candidate.name]
    try:
        return parser(candidate.raw)
    except Unparsable as error:
        msg = f"{candidate.source}: {candidate.name}: found {candidate.raw!r}, wanted {error}"
        raise SettingsError(msg) from error


def _refuse_bad(candidate: Candidate) -> bool:
    """Overruled or not, a value has to make sense; always False, so that it is dropped."""
    _parse(candidate)
    return False


def _build(home: Path, candidates: list[Candidate], environ: Mapping[str, str]) -> Settings:
    default = Source(kind=SourceKind.DEFAULT, place="default")
    values: dict[str, object] = {}
    sources = dict.fromkeys(PARSERS, default)
    queues: dict[str, QueueSettings] = {}
    for candidate in candidates:
        parsed = _parse(candidate)
        sources[candidate.name] = candidate.source
        if isinstance(parsed, QueueSettings):
            queues[candidate.name.removeprefix(QUEUES)] = parsed
        else:
            values[candidate.name] = parsed

    def value(name: str, otherwise: Any) -> Any:
        return values[name] if name in values else otherwise() if callable(otherwise) else otherwise

    return Settings(
        home=home,
        database=value("database", None),
        blobs=value("blobs", None),
        mode=value("mode", lambda: Mode.LOCAL),
        grace_period=value("grace_period", timedelta(seconds=5)),
        strict=value("strict", False),
        capacity=CapacitySettings(
            cpu=value("capacity.cpu", usable_cpu),
            memory=value("capacity.memory", usable_memory),
            gpu=value("capacity.gpu", lambda: visible_gpus(environ)),
            processes=value("capacity.processes", 512),
        ),
        queues=queues,
        engine=EngineSettings(
            linger=value("engine.linger", timedelta(seconds=10 if environ.get("CI") else 300)),
            start_timeout=value("engine.start_timeout", timedelta(seconds=20)),
        ),
        sources=sources,
    )


def _as_text(settings: Settings, name: str) -> str | None:
    """A setting as a variable would spell it; None where it is not set."""
    found: Any = settings
    for part in name.split("."):
        found = getattr(found, part)
    if found is None:
        return None
    if isinstance(found, timedelta):
        return repr(found.total_seconds())
    if isinstance(found, bool):
        return "true" if found else "false"
    return f"{found}m" if name == "capacity.cpu" else str(found)
