"""What this version does not do yet: said once where that is harmless, refused where it would be wrong.

A feature becomes effective by deleting its row here.
"""

import sys
from collections.abc import Callable

from volant.authoring.caching import Cache
from volant.authoring.images import Image
from volant.authoring.parameters import Settings
from volant.authoring.timeouts import Timeout
from volant.model.errors import NotSupportedError

_UNLIMITED = Timeout()
_NO_CACHE = Cache("disable")
_EFFECTIVE_LAYERS = frozenset({"env", "dockerignore"})
"""Layers that need no image to be built: variables are set, and nothing is copied."""


def _resource(field: str) -> Callable[[Settings], bool]:
    return lambda given: "resources" in given and getattr(given["resources"], field) is not None


def _cpu_limit(given: Settings) -> bool:
    cpu = given["resources"].cpu_range if "resources" in given else None
    return cpu is not None and cpu[0] != cpu[1]


_NOT_ENFORCED: tuple[tuple[str, Callable[[Settings], bool]], ...] = (
    ("cache", lambda given: given.get("cache", _NO_CACHE).behavior != "disable"),
    ("timeout", lambda given: given.get("timeout", _UNLIMITED) != _UNLIMITED),
    ("resources.cpu (its limit)", _cpu_limit),
    ("resources.memory (its limit)", _resource("memory_range")),
    ("resources.gpu (which devices)", _resource("device")),
    ("resources.disk", _resource("disk_bytes")),
    ("resources.shm", _resource("shm")),
    ("reusable", lambda given: given.get("reusable", "off") != "off"),
    ("plugin_config", lambda given: "plugin_config" in given),
    ("pod_template", lambda given: bool(given.get("pod_template"))),
    ("interruptible", lambda given: given.get("interruptible", False)),
    ("queue", lambda given: bool(given.get("queue"))),
    ("report", lambda given: given.get("report", False)),
    ("links", lambda given: bool(given.get("links"))),
    ("triggers", lambda given: bool(given.get("triggers"))),
)
"""A parameter, and whether what was given would have had an effect."""

NOT_ENFORCED = tuple(name for name, _ in _NOT_ENFORCED)
"""Parameters that are accepted and have no effect yet."""

REFUSED = {"secrets": "any", "cache": "`serialize=True`", "image": "layers and references"}
"""Parameters, and what of them is refused since ignoring it would be wrong."""


def not_enforced(given: Settings) -> tuple[str, ...]:
    """The parameters that were given and have no effect yet."""
    return tuple(name for name, is_given in _NOT_ENFORCED if is_given(given))


def refuse_unsupported(where: str, given: Settings) -> None:
    """Refuse what would give wrong results when it was ignored.

    Raises:
        NotSupportedError: the message names the parameter; the hint says what helps.
    """
    if secrets := given.get("secrets"):
        names = ", ".join(repr(secret.key) for secret in secrets)
        hint = "export the value in the shell that submits the run; a task sees its environment variables"
        raise NotSupportedError(f"{where}: secrets ({names}) are not available in this version", hint=hint)
    if given.get("cache", _NO_CACHE).serialize:
        hint = "leave serialize out; equal calls then each execute"
        raise NotSupportedError(f"{where}: Cache(serialize=True) is not available in this version", hint=hint)
    image = given.get("image", "auto")
    if missing := _missing_software(image):
        hint = "install what the task needs beside volant, and leave the image out or 'auto'"
        raise NotSupportedError(f"{where}: its image {missing}, and images are not built in this version", hint=hint)


def _missing_software(image: Image | str) -> str | None:
    """What an image asks for that the running interpreter is not known to have."""
    if isinstance(image, str):
        return None if image == "auto" else f"is {image!r}"
    if image.reference is not None:
        return f"starts from {image.reference!r}"
    if layers := [layer.kind for layer in image.layers if layer.kind not in _EFFECTIVE_LAYERS]:
        return f"has layers ({', '.join(dict.fromkeys(layers))})"
    running = ".".join(str(part) for part in sys.version_info[:3])
    if image.python_version is not None and not f"{running}.".startswith(f"{image.python_version}."):
        return f"asks for Python {image.python_version}, this is {running}"
    return None
