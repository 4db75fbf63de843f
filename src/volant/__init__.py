"""Typed, durable, isolated tasks in plain Python.

Every name is imported when it is first used, so that `import volant` costs next to nothing.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from volant import durable as durable
    from volant import errors as errors
    from volant import io as io
    from volant import remote as remote
    from volant import types as types
    from volant.api.initializing import init as init
    from volant.api.initializing import init_from_config as init_from_config
    from volant.api.rerunning import rerun as rerun
    from volant.api.resuming import resume as resume
    from volant.api.running import run as run
    from volant.api.running import with_runcontext as with_runcontext
    from volant.api.runs import Run as Run
    from volant.authoring.caching import (
        Cache as Cache,
    )
    from volant.authoring.caching import (
        CachePolicy as CachePolicy,
    )
    from volant.authoring.caching import (
        CacheRequest as CacheRequest,
    )
    from volant.authoring.caching import (
        VersionParameters as VersionParameters,
    )
    from volant.authoring.checkpoints import Checkpoint as Checkpoint
    from volant.authoring.context import ctx as ctx
    from volant.authoring.context import group as group
    from volant.authoring.documentation import Documentation as Documentation
    from volant.authoring.environment import TaskEnvironment as TaskEnvironment
    from volant.authoring.images import Image as Image
    from volant.authoring.links import Link as Link
    from volant.authoring.links import URLLink as URLLink
    from volant.authoring.mapping import map as map
    from volant.authoring.plugins import TaskPlugin as TaskPlugin
    from volant.authoring.plugins import register_plugin as register_plugin
    from volant.authoring.pods import PodTemplate as PodTemplate
    from volant.authoring.resolvers import DefaultResolver as DefaultResolver
    from volant.authoring.resolvers import TaskResolver as TaskResolver
    from volant.authoring.resources import GPU as GPU
    from volant.authoring.resources import TPU as TPU
    from volant.authoring.resources import Device as Device
    from volant.authoring.resources import Resources as Resources
    from volant.authoring.retries import Backoff as Backoff
    from volant.authoring.retries import RetryStrategy as RetryStrategy
    from volant.authoring.reuse import ReusePolicy as ReusePolicy
    from volant.authoring.secrets import Secret as Secret
    from volant.authoring.secrets import SecretRequest as SecretRequest
    from volant.authoring.task import AsyncTask as AsyncTask
    from volant.authoring.task import SyncTask as SyncTask
    from volant.authoring.task import Task as Task
    from volant.authoring.timeouts import Timeout as Timeout
    from volant.authoring.tracing import trace as trace
    from volant.authoring.triggers import Cron as Cron
    from volant.authoring.triggers import FixedRate as FixedRate
    from volant.authoring.triggers import Trigger as Trigger
    from volant.authoring.triggers import TriggerTime as TriggerTime
    from volant.kit.logs import logger as logger
    from volant.kit.version import VERSION as __version__
    from volant.model.phases import ActionPhase as ActionPhase

_HOMES = {
    "ActionPhase": "volant.model.phases",
    "AsyncTask": "volant.authoring.task",
    "Backoff": "volant.authoring.retries",
    "Cache": "volant.authoring.caching",
    "CachePolicy": "volant.authoring.caching",
    "CacheRequest": "volant.authoring.caching",
    "Checkpoint": "volant.authoring.checkpoints",
    "Cron": "volant.authoring.triggers",
    "DefaultResolver": "volant.authoring.resolvers",
    "Device": "volant.authoring.resources",
    "Documentation": "volant.authoring.documentation",
    "FixedRate": "volant.authoring.triggers",
    "GPU": "volant.authoring.resources",
    "Image": "volant.authoring.images",
    "Link": "volant.authoring.links",
    "PodTemplate": "volant.authoring.pods",
    "Resources": "volant.authoring.resources",
    "RetryStrategy": "volant.authoring.retries",
    "ReusePolicy": "volant.authoring.reuse",
    "Run": "volant.api.runs",
    "Secret": "volant.authoring.secrets",
    "SecretRequest": "volant.authoring.secrets",
    "SyncTask": "volant.authoring.task",
    "TPU": "volant.authoring.resources",
    "Task": "volant.authoring.task",
    "TaskEnvironment": "volant.authoring.environment",
    "TaskPlugin": "volant.authoring.plugins",
    "TaskResolver": "volant.authoring.resolvers",
    "Timeout": "volant.authoring.timeouts",
    "Trigger": "volant.authoring.triggers",
    "TriggerTime": "volant.authoring.triggers",
    "URLLink": "volant.authoring.links",
    "VersionParameters": "volant.authoring.caching",
    "ctx": "volant.authoring.context",
    "group": "volant.authoring.context",
    "init": "volant.api.initializing",
    "init_from_config": "volant.api.initializing",
    "logger": "volant.kit.logs",
    "map": "volant.authoring.mapping",
    "register_plugin": "volant.authoring.plugins",
    "rerun": "volant.api.rerunning",
    "resume": "volant.api.resuming",
    "run": "volant.api.running",
    "trace": "volant.authoring.tracing",
    "with_runcontext": "volant.api.running",
}
"""The module that owns each public name."""

_DOORS = frozenset({"durable", "errors", "io", "remote", "types"})
"""Modules that are there after a bare `import volant`."""

__all__ = [
    "GPU",
    "TPU",
    "ActionPhase",
    "AsyncTask",
    "Backoff",
    "Cache",
    "CachePolicy",
    "CacheRequest",
    "Checkpoint",
    "Cron",
    "DefaultResolver",
    "Device",
    "Documentation",
    "FixedRate",
    "Image",
    "Link",
    "PodTemplate",
    "Resources",
    "RetryStrategy",
    "ReusePolicy",
    "Run",
    "Secret",
    "SecretRequest",
    "SyncTask",
    "Task",
    "TaskEnvironment",
    "TaskPlugin",
    "TaskResolver",
    "Timeout",
    "Trigger",
    "TriggerTime",
    "URLLink",
    "VersionParameters",
    "__version__",
    "ctx",
    "group",
    "init",
    "init_from_config",
    "logger",
    "map",
    "register_plugin",
    "rerun",
    "resume",
    "run",
    "trace",
    "with_runcontext",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from volant.kit.version import VERSION

        return VERSION
    from importlib import import_module

    if name in _DOORS:
        return import_module(f"volant.{name}")
    home = _HOMES.get(name)
    if home is None:
        from volant.kit.nearest import did_you_mean

        msg = f"module 'volant' has no attribute {name!r}{did_you_mean(name, _HOMES)}"
        # Without these two Python would put a suggestion of its own behind ours.
        raise AttributeError(msg, name="", obj=None)
    found = getattr(import_module(home), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
