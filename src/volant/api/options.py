"""Run-level options: what `with_runcontext` takes, checked where it is written."""

from collections.abc import Mapping
from typing import TypedDict, cast

import msgspec

from volant.authoring.validation import (
    choice,
    filled_text,
    flag,
    queue_name,
    refuse_value,
    text_map,
    variables,
    whole_number,
)
from volant.kit.nearest import did_you_mean
from volant.model.control_protocol import RunOptions
from volant.model.errors import UnknownParameterError
from volant.settings.catalogue import QUEUES
from volant.settings.tree import Mode, Settings


class RunContextOptions(TypedDict, total=False):
    """The keywords of `volant.with_runcontext` beside `mode`. Absent and None mean: as the settings say."""

    name: str | None
    """Of the run; made up by default."""
    env_vars: Mapping[str, str] | None
    """Win over those of environments and tasks."""
    labels: Mapping[str, str] | None
    """Shown with the run."""
    annotations: Mapping[str, str] | None
    """Kept with the run, and not interpreted."""
    custom_context: Mapping[str, str] | None
    """What `volant.ctx().custom_context` says in every task of the run."""
    overwrite_cache: bool | None
    """Whether what is cached is executed all the same, and cached anew. Not enforced yet: a run that has it says so."""
    disable_run_cache: bool | None
    """Whether the cache is neither read nor written. Not enforced yet: a run that has it says so."""
    interruptible: bool | None
    """Whether tasks may be preempted. Not enforced yet: a run that has it says so."""
    queue: str | None
    """Of tasks that name none. Not enforced yet: a run that has it says so."""
    max_action_concurrency: int | None
    """How many actions of the run execute at once, at most; those that wait for others do not count."""
    raw_data_path: str | None
    """What `volant.ctx().raw_data_path` says in every task of the run: a folder or a URL."""
    notifications: object
    """Accepted, no effect on this machine."""
    service_account: str | None
    """Accepted, no effect on this machine."""
    preserve_original_types: bool | None
    """Accepted; types are always preserved."""
    wait: bool | None
    """Whether to wait for the end of the run, which is the default, or return as soon as it is accepted."""


class RunContext(msgspec.Struct, frozen=True, kw_only=True):
    """Checked options. None: not given."""

    mode: str | None = None
    name: str | None = None
    env_vars: dict[str, str] = {}
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    custom_context: dict[str, str] = {}
    overwrite_cache: bool = False
    disable_run_cache: bool = False
    interruptible: bool | None = None
    queue: str | None = None
    max_action_concurrency: int | None = None
    raw_data_path: str | None = None
    wait: bool = True
    warnings: tuple[str, ...] = ()
    """What was accepted and has no effect on this machine."""

    def for_engine(self, settings: Settings, mode: Mode) -> RunOptions:
        """As the engine wants them."""
        return RunOptions(
            mode=mode.value,
            name=self.name,
            labels=self.labels,
            annotations=self.annotations,
            custom_context=self.custom_context,
            raw_data_path=self.raw_data_path,
            interruptible=self.interruptible,
            queue=self.queue,
            max_action_concurrency=self.max_action_concurrency,
            overwrite_cache=self.overwrite_cache,
            disable_run_cache=self.disable_run_cache,
            env_vars=self.env_vars,
            grace_period=settings.grace_period.total_seconds(),
            strict=settings.strict,
        )


_IN_PROGRAMS = "with_runcontext"
"""Where options are written that are not flags."""
_TEXTS = ("mode", "name", "queue", "raw_data_path")
_TABLES = ("env_vars", "labels", "annotations", "custom_context")
_SWITCHES = ("overwrite_cache", "disable_run_cache", "interruptible", "wait")
_NOT_ENFORCED = ("notifications", "service_account")
_NAMES = (*_TEXTS, *_TABLES, *_SWITCHES, *_NOT_ENFORCED, "max_action_concurrency", "preserve_original_types")
_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")


def check_options(options: Mapping[str, object], *, where: str = _IN_PROGRAMS) -> RunContext:
    """Refuse what cannot be, and give the rest its types.

    Raises:
        UnknownParameterError: a keyword that there is not; the nearest one is named.
        DefinitionError: a value that cannot be.
    """
    checked: dict[str, object] = {}
    warnings: list[str] = []
    for name, value in options.items():
        if name not in _NAMES:
            msg = f"{where}: there is no option {name!r}{did_you_mean(name, _NAMES)}"
            raise UnknownParameterError(msg, hint=f"the options are {', '.join(sorted(_NAMES))}")
        if value is None:
            continue
        shown = name if where == _IN_PROGRAMS else _as_flag(name)
        if name in _TEXTS:
            checked[name] = _text(where, shown, value)
        elif name in _TABLES:
            checked[name] = variables(where, shown, value) if name == "env_vars" else text_map(where, shown, value)
        elif name in _SWITCHES:
            checked[name] = flag(where, shown, value)
        elif name in _NOT_ENFORCED:
            warnings.append(f"{name} has no effect on this machine")
        elif name == "preserve_original_types":
            # Types are always preserved here; only the wish to lose them cannot be granted.
            if not flag(where, shown, value):
                warnings.append("preserve_original_types=False has no effect: values keep their types")
        else:
            checked[name] = whole_number(where, shown, value, at_least=1)
    if "name" in checked:
        _check_name(where, "name" if where == _IN_PROGRAMS else "--name", cast("str", checked["name"]))
    return msgspec.convert({**checked, "warnings": tuple(warnings)}, RunContext)


def unheeded(settings: Settings) -> tuple[str, ...]:
    """What is set and has no effect yet, as warnings."""
    return tuple(
        f"{QUEUES}{name} is accepted but not enforced yet; {settings.sources[f'{QUEUES}{name}']} sets it"
        for name in settings.queues
    )


def _text(where: str, name: str, value: object) -> str:
    if isinstance(value, Mode):
        return value.value
    if name.endswith("queue"):
        return queue_name(where, value, parameter=name)
    found = filled_text(where, name, value)
    if name.endswith("mode"):
        choice(where, name, found, tuple(mode.value for mode in Mode))
    return found


def _as_flag(name: str) -> str:
    """An option as the command line spells it."""
    return {"env_vars": "--env", "labels": "--label"}.get(name) or f"--{name.replace('_', '-')}"


def _check_name(where: str, parameter: str, name: str) -> None:
    """A run's name is a folder's name too."""
    if len(name) > 100 or name[0] in ".-" or not _NAME_CHARACTERS.issuperset(name):
        wanted = "up to 100 letters, digits, '-', '_' or '.', not '.' or '-' first"
        refuse_value(where, parameter, name, wanted)
