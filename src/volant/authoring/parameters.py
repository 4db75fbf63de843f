"""The parameters of the three levels: who accepts which, and how each is checked."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, TypedDict, cast

from volant.authoring.caching import Cache, CacheRequest, as_cache
from volant.authoring.documentation import Documentation
from volant.authoring.images import Image, as_image
from volant.authoring.links import Link, as_links
from volant.authoring.pods import PodTemplate, as_pod_template
from volant.authoring.resolvers import TaskResolver, as_resolver
from volant.authoring.resources import Resources
from volant.authoring.retries import RetryStrategy, as_retries
from volant.authoring.reuse import ReusePolicy
from volant.authoring.secrets import Secret, SecretRequest, as_secrets
from volant.authoring.timeouts import Timeout, as_timeout
from volant.authoring.triggers import Trigger, as_triggers
from volant.authoring.validation import (
    filled_text,
    flag,
    instance_of,
    queue_name,
    refuse_type,
    text,
    unknown_parameter,
    variables,
    whole_number,
)
from volant.model.errors import DefinitionError, UnknownParameterError

if TYPE_CHECKING:
    from volant.authoring.environment import TaskEnvironment


class Level(StrEnum):
    """Where a parameter is written, the most general first."""

    ENVIRONMENT = "TaskEnvironment"
    TASK = "@env.task"
    OVERRIDE = "override()"


class EnvironmentSettings(TypedDict, total=False):
    """What `clone_with(name, ...)` accepts; absent and None mean: as in the original."""

    image: Image | str | None
    resources: Resources | None
    env_vars: Mapping[str, str] | None
    secrets: SecretRequest | None
    depends_on: Sequence["TaskEnvironment"] | None
    description: str | None
    pod_template: str | PodTemplate | None
    interruptible: bool | None
    include: Sequence[str] | None
    cache: CacheRequest | None
    reusable: ReusePolicy | Literal["off"] | None
    plugin_config: Any
    queue: str | None


class TaskSettings(TypedDict, total=False):
    """What `@env.task(...)` accepts; absent and None mean the environment's setting, or the default."""

    short_name: str | None
    """Shown instead of the function's name."""
    cache: CacheRequest | None
    """Whether results are reused: `"auto"`, `"override"`, `"disable"` or a `Cache`."""
    retries: int | RetryStrategy | None
    """Further attempts after failures of the user's code; default 0."""
    timeout: float | timedelta | Timeout | None
    """`max_runtime` of an attempt, in seconds or as a `timedelta`, or all bounds as a `Timeout`; 0 is unbounded."""
    docs: Documentation | None
    """What `--help` says about it; default the docstring."""
    pod_template: str | PodTemplate | None
    """For Kubernetes, the name of a template or the template."""
    report: bool | None
    """Whether the task may write an HTML report."""
    interruptible: bool | None
    """Whether attempts may be preempted."""
    max_inline_io_bytes: int | None
    """Bytes that may travel by value in each direction; default 10 MiB."""
    queue: str | None
    """The name of a queue of the configuration."""
    triggers: Trigger | Sequence[Trigger] | None
    """What runs the task by itself, once deployed."""
    links: Link | Sequence[Link] | None
    """Shown with the action."""
    task_resolver: TaskResolver | None
    """How a worker finds the task."""
    entrypoint: bool | None
    """Whether the file runs this task when none is named."""


class OverrideSettings(TypedDict, total=False):
    """What `task.override(...)` accepts; absent and None mean: as it was. Values are those of the other levels."""

    resources: Resources | None
    env_vars: Mapping[str, str] | None
    secrets: SecretRequest | None
    cache: CacheRequest | None
    pod_template: str | PodTemplate | None
    reusable: ReusePolicy | Literal["off"] | None
    interruptible: bool | None
    queue: str | None
    short_name: str | None
    retries: int | RetryStrategy | None
    timeout: float | timedelta | Timeout | None
    max_inline_io_bytes: int | None
    links: Link | Sequence[Link] | None


class Settings(TypedDict, total=False):
    """What was given at a level, or at several after merging, checked and in full form."""

    image: Image | str
    resources: Resources
    env_vars: dict[str, str]
    secrets: tuple[Secret, ...]
    description: str
    pod_template: PodTemplate | str
    interruptible: bool
    include: tuple[str, ...]
    cache: Cache
    reusable: ReusePolicy | Literal["off"]
    plugin_config: Any
    queue: str
    short_name: str
    retries: RetryStrategy
    timeout: Timeout
    docs: Documentation
    report: bool
    max_inline_io_bytes: int
    links: tuple[Link, ...]
    triggers: tuple[Trigger, ...]
    task_resolver: TaskResolver
    entrypoint: bool


_ENVIRONMENT_ONLY = (Level.ENVIRONMENT,)
_NOT_TASK = (Level.ENVIRONMENT, Level.OVERRIDE)
_EVERYWHERE = (Level.ENVIRONMENT, Level.TASK, Level.OVERRIDE)
_NOT_ENVIRONMENT = (Level.TASK, Level.OVERRIDE)
_TASK_ONLY = (Level.TASK,)

_WRITTEN = {Level.ENVIRONMENT: "TaskEnvironment", Level.TASK: "@env.task", Level.OVERRIDE: "task.override"}

PARAMETERS: dict[str, tuple[Level, ...]] = {
    "name": _ENVIRONMENT_ONLY,
    "image": _ENVIRONMENT_ONLY,
    "depends_on": _ENVIRONMENT_ONLY,
    "description": _ENVIRONMENT_ONLY,
    "include": _ENVIRONMENT_ONLY,
    "plugin_config": _ENVIRONMENT_ONLY,
    "resources": _NOT_TASK,
    "env_vars": _NOT_TASK,
    "secrets": _NOT_TASK,
    "reusable": _NOT_TASK,
    "cache": _EVERYWHERE,
    "pod_template": _EVERYWHERE,
    "interruptible": _EVERYWHERE,
    "queue": _EVERYWHERE,
    "short_name": _NOT_ENVIRONMENT,
    "retries": _NOT_ENVIRONMENT,
    "timeout": _NOT_ENVIRONMENT,
    "max_inline_io_bytes": _NOT_ENVIRONMENT,
    "links": _NOT_ENVIRONMENT,
    "report": _TASK_ONLY,
    "triggers": _TASK_ONLY,
    "docs": _TASK_ONLY,
    "task_resolver": _TASK_ONLY,
    "entrypoint": _TASK_ONLY,
}


def misplaced(where: str, level: Level, name: str) -> UnknownParameterError:
    """The error for a keyword that this level does not accept: who does, or what was probably meant."""
    if levels := PARAMETERS.get(name):
        accepting = " and ".join(levels)
        message = f"{where}: {name} is set on {accepting}, {level} does not accept it"
        written = " or ".join(f"{_WRITTEN[each]}({name}=...)" for each in levels)
        return UnknownParameterError(message, hint=f"write {written}")
    return unknown_parameter(where, name, _accepted(level))


def checked_settings(where: str, level: Level, given: Mapping[str, object]) -> Settings:
    """What was really given (None is not), each value checked and in full form.

    Raises:
        UnknownParameterError: a keyword that this level does not accept.
        DefinitionError: a value that cannot be.
    """
    found: dict[str, object] = {}
    for name, value in given.items():
        if level not in PARAMETERS.get(name, ()) or name not in _CHECKS:
            raise misplaced(where, level, name)
        if value is not None:
            found[name] = _CHECKS[name](where, value)
    return cast(Settings, found)


def _accepted(level: Level) -> Iterable[str]:
    return [name for name, levels in PARAMETERS.items() if level in levels]


def _description(where: str, value: object) -> str:
    found = text(where, "description", value)
    if len(found) > 255:
        message = f"{where}: description has {len(found)} characters, expected at most 255"
        raise DefinitionError(message, hint="what is longer belongs into the docstrings of the tasks")
    return found


def _reusable(where: str, value: object) -> ReusePolicy | Literal["off"]:
    if value == "off":
        return "off"
    if not isinstance(value, ReusePolicy):
        refuse_type(where, "reusable", value, "a ReusePolicy, or 'off'")
    return value


def _queue(where: str, value: object) -> str:
    """The name of a queue; an empty one means none."""
    return queue_name(where, value) if value != "" else ""


def _short_name(where: str, value: object) -> str:
    return filled_text(where, "short_name", value)


_CHECKS: dict[str, Callable[[str, Any], object]] = {
    "image": as_image,
    "resources": lambda where, value: instance_of(where, "resources", value, Resources, "Resources(...)"),
    "env_vars": lambda where, value: variables(where, "env_vars", value),
    "secrets": as_secrets,
    "description": _description,
    "pod_template": as_pod_template,
    "interruptible": lambda where, value: flag(where, "interruptible", value),
    "cache": as_cache,
    "reusable": _reusable,
    "plugin_config": lambda where, value: value,
    "queue": _queue,
    "short_name": _short_name,
    "retries": as_retries,
    "timeout": as_timeout,
    "docs": lambda where, value: instance_of(where, "docs", value, Documentation, "Documentation(...)"),
    "report": lambda where, value: flag(where, "report", value),
    "max_inline_io_bytes": lambda where, value: whole_number(
        where, "max_inline_io_bytes", value, at_least=1, at_most=2**63 - 1
    ),
    "links": as_links,
    "triggers": as_triggers,
    "task_resolver": as_resolver,
    "entrypoint": lambda where, value: flag(where, "entrypoint", value),
}
