"""From all sources to one tree; the only place that reads the environment and the settings files.

Defaults, the home's `config.toml`, `[tool.volant]` of the nearest `pyproject.toml`, `VOLANT_*` variables, arguments
written in a program, command-line flags: later ones win. `VOLANT_MODE` also wins over a mode written in a program.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

import msgspec

from volant.kit.homes import config_path
from volant.kit.nearest import did_you_mean
from volant.model.errors import SettingsError
from volant.settings.catalogue import QUEUES, QUEUES_VARIABLE, SECTIONS, SETTINGS, VARIABLES
from volant.settings.lines import line_of
from volant.settings.masking import masked
from volant.settings.parsing import Unparsable, parse_queue
from volant.settings.toml_files import read_toml
from volant.settings.tree import (
    CapacitySettings,
    EngineSettings,
    QueueSettings,
    Settings,
    Source,
    SourceKind,
    Written,
)

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
    arguments_place: str | Mapping[str, str] = "the program",
    environ: Mapping[str, str] | None = None,
    start: Path | None = None,
    use_project: bool = True,
) -> Settings:
    """Merge all sources.

    *flags* and *arguments* are by dotted name; None among them means not given. *arguments_place* is the call that
    they were written in, or the call of each by name. *start* is where the search for `pyproject.toml` begins, by
    default the current folder. An engine serves many projects: it passes `use_project=False`.

    Raises:
        SettingsError: a value does not parse or a name is unknown; the message names source, name, found and wanted.
    """
    environ = os.environ if environ is None else environ
    project = list(_from_project(start or _current_folder())) if use_project else []
    variables = list(_from_variables(environ))
    program = list(_from_arguments(arguments or {}, arguments_place))
    flagged = list(_from_flags(flags or {}))
    # The mode of the environment is stronger than one written in a program, so that tests and debuggers can choose.
    modes = [candidate for candidate in variables if candidate.name == "mode"]
    others = [candidate for candidate in variables if candidate.name != "mode"]
    stronger = [*project, *others, *program, *modes, *flagged]
    home = _find_home(stronger, environ)
    return _build(home, [*_from_home(home), *stronger], environ)


def located(source: Source) -> Source:
    """The source with the line on which the value is written, where it is a file that says so."""
    if not source.key:
        return source
    try:
        text = Path(source.place).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return source
    return msgspec.structs.replace(source, line=line_of(text, source.key))


def engine_environ(settings: Settings, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment for an engine that this client starts.

    An engine does not look for a `pyproject.toml`; what the client found there for it travels as variables.
    """
    found = dict(os.environ if environ is None else environ)
    for name, source in settings.sources.items():
        if source.kind not in {SourceKind.PROJECT, SourceKind.ARGUMENT, SourceKind.FLAG} or name.startswith(QUEUES):
            continue
        value, setting = settings.value_of(name), SETTINGS[name]
        if value is not None and name not in {"home", "mode"}:
            found[setting.variable] = setting.form.spell(value)
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


def _find_home(candidates: list[Candidate], environ: Mapping[str, str]) -> Path:
    home = SETTINGS["home"].default(environ)
    for candidate in candidates:
        if candidate.name == "home":
            home = _parse(candidate)
    return cast("Path", home)


def _from_home(home: Path) -> Iterator[Candidate]:
    path = config_path(home)
    for candidate in _from_table(read_toml(path), Source(kind=SourceKind.HOME, place=str(path))):
        if candidate.name == "home":
            msg = f"{located(candidate.source)}: home cannot be set in the settings of a home"
            raise SettingsError(msg, hint="set VOLANT_HOME, or home in [tool.volant] of a pyproject.toml")
        yield candidate


def _current_folder() -> Path | None:
    try:
        return Path.cwd()
    except OSError:
        return None  # it was removed, or may not be entered any more: no project is found from there


def _from_project(start: Path | None) -> Iterator[Candidate]:
    if start is None:
        return
    for folder in (start, *start.parents):
        path = folder / "pyproject.toml"
        if not path.is_file():
            continue
        tool = read_toml(path, only_with="volant").get("tool", {})
        table = cast("dict[str, Any]", tool).get("volant") if isinstance(tool, dict) else None
        if table is not None:
            source = Source(kind=SourceKind.PROJECT, place=str(path), key=("tool", "volant"))
            for candidate in _from_table(table, source):
                # A path in a project's file is relative to that file, not to wherever one happens to stand.
                if candidate.name == "home" and isinstance(candidate.raw, str) and candidate.raw:
                    yield candidate._replace(raw=str(folder / Path(candidate.raw).expanduser()))
                else:
                    yield candidate
        return


def _from_table(table: object, source: Source) -> Iterator[Candidate]:
    if not isinstance(table, dict):
        msg = f"{located(source)}: tool.volant: found {table!r}, wanted a table of settings"
        raise SettingsError(msg)
    for key, value in cast("dict[str, Any]", table).items():
        place = msgspec.structs.replace(source, key=(*source.key, key))
        if key not in SECTIONS:
            yield _known(key, value, place)
        elif not isinstance(value, dict):
            msg = f"{located(place)}: {key}: found {value!r}, wanted a table such as [{key}]"
            raise SettingsError(msg, hint=f"the settings are {', '.join(_names_in(key))}")
        else:
            for inner, raw in cast("dict[str, Any]", value).items():
                yield _known(f"{key}.{inner}", raw, msgspec.structs.replace(place, key=(*place.key, inner)))


def _names_in(section: str) -> list[str]:
    return [name for name in SETTINGS if name.startswith(f"{section}.")] or [f"{section}.<name>"]


def _from_arguments(values: Mapping[str, object], place: str | Mapping[str, str]) -> Iterator[Candidate]:
    for name, raw in values.items():
        if raw is not None:
            where = place if isinstance(place, str) else place[name]
            yield _known(name, raw, Source(kind=SourceKind.ARGUMENT, place=where))


def _from_flags(values: Mapping[str, object]) -> Iterator[Candidate]:
    for name, raw in values.items():
        if raw is not None:
            yield _known(name, raw, Source(kind=SourceKind.FLAG, place=f"--{name.replace('_', '-')}"))


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
    ours = sorted((*VARIABLES, QUEUES_VARIABLE))
    suggestion = did_you_mean(variable, ours)
    close = did_you_mean(variable.removeprefix("VOLANT_"), [name.removeprefix("VOLANT_") for name in ours])
    is_in_section = variable.startswith(("VOLANT_CAPACITY_", "VOLANT_ENGINE_", f"{QUEUES_VARIABLE}_"))
    if is_in_section or (suggestion and close):
        msg = f"{variable} is not a setting{suggestion}"
        raise SettingsError(msg, hint=f"the variables are {', '.join(ours)}")


def _known(name: str, raw: object, source: Source) -> Candidate:
    if name.startswith(QUEUES):
        if not _QUEUE_NAME.fullmatch(name.removeprefix(QUEUES)):
            queue = name.removeprefix(QUEUES)
            msg = f"{located(source)}: {queue!r} is not a queue's name: letters, digits, '.', '-', '_'"
            raise SettingsError(msg)
    elif name not in SETTINGS:
        raise SettingsError(f"{located(source)}: {unknown_setting(name)}", hint=SETTINGS_HINT)
    return Candidate(name, raw, source)


def unknown_setting(name: str) -> str:
    """What to say of a name that is no setting's, with the nearest one that is."""
    # The last part alone: `memory` for `capacity.memory` is as near as a wrong letter.
    within = [known for known in SETTINGS if known.rpartition(".")[2] == name]
    suggestion = f"; did you mean {within[0]!r}?" if within else did_you_mean(name, [*SETTINGS, *SECTIONS])
    return f"there is no setting {name!r}{suggestion}"


SETTINGS_HINT = f"the settings are {', '.join(SETTINGS)} and queues.<name>"


def _parse(candidate: Candidate) -> object:
    parser = parse_queue if candidate.name.startswith(QUEUES) else SETTINGS[candidate.name].form.parse
    try:
        return parser(candidate.raw)
    except Unparsable as error:
        found = masked(repr(candidate.raw))
        msg = f"{located(candidate.source)}: {candidate.name}: found {found}, wanted {error}"
        raise SettingsError(msg) from error


def _build(home: Path, candidates: list[Candidate], environ: Mapping[str, str]) -> Settings:
    sources = dict.fromkeys(SETTINGS, Source(kind=SourceKind.DEFAULT, place="default"))
    written: dict[str, list[Written]] = {}
    for candidate in candidates:
        parsed = _parse(candidate)
        written.setdefault(candidate.name, []).insert(0, Written(value=parsed, source=candidate.source))
        sources[candidate.name] = candidate.source
    queues = {name.removeprefix(QUEUES): found[0].value for name, found in written.items() if name.startswith(QUEUES)}
    values: dict[str, Any] = {
        name: written[name][0].value if name in written else setting.default(environ)
        for name, setting in SETTINGS.items()
    }

    def section(of: str) -> dict[str, Any]:
        return {name.removeprefix(of): value for name, value in values.items() if name.startswith(of)}

    values["home"] = home
    return Settings(
        **{name: value for name, value in values.items() if "." not in name},
        capacity=CapacitySettings(**section("capacity.")),
        engine=EngineSettings(**section("engine.")),
        queues=cast("dict[str, QueueSettings]", queues),
        sources=sources,
        overridden={name: tuple(found[1:]) for name, found in written.items() if len(found) > 1},
    )
