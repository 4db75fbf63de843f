"""What was decided about an action, in words and as JSON."""

from datetime import timedelta
from enum import Enum
from typing import Any

import msgspec

from volant.client.lines import format_seconds
from volant.kit.quantities import format_bytes, format_cpu
from volant.model.specs import ActionKind, ActionSpec, CacheMode


def settings_in_words(spec: ActionSpec) -> list[tuple[str, str]]:
    """Names and values, empty where nothing was decided."""
    code = f"{spec.loader.module}:{spec.loader.qualname}" if spec.loader.module else spec.loader.kind.value
    if spec.kind is not ActionKind.TASK:
        return [("code", code)]
    resources = spec.resources
    asked = [
        f"{format_cpu(resources.cpu)} CPU" if resources.cpu else "",
        f"{format_bytes(resources.memory)} of memory" if resources.memory else "",
        f"{resources.gpu} {resources.gpu_device or resources.accelerator}" if resources.gpu else "",
    ]
    backoff = spec.retries.backoff
    retries = str(spec.retries.count) if spec.retries.count else ""
    if retries and backoff is not None:
        retries += f", after {format_seconds(backoff.base.total_seconds())}"
        retries += f" times {backoff.factor:g} each" if backoff.factor != 1 else ""
    limits = {
        "runtime": spec.timeout.max_runtime,
        "queued": spec.timeout.max_queued_time,
        "deadline": spec.timeout.deadline,
    }
    timeouts = [f"{name} {format_seconds(each.total_seconds())}" for name, each in limits.items() if each is not None]
    return [
        ("environment", spec.environment),
        ("requests", ", ".join(each for each in asked if each)),
        ("retries", retries),
        ("timeout", ", ".join(timeouts)),
        ("cache", "" if spec.cache.mode is CacheMode.DISABLE else spec.cache.mode.value),
        ("queue", spec.queue or ""),
        ("code", code),
    ]


def settings_as_json(value: Any) -> Any:
    """A spec with all its fields: durations as seconds, bytes as their number."""
    match value:
        case msgspec.Struct():
            return {name: settings_as_json(getattr(value, name)) for name in value.__struct_fields__}
        case timedelta():
            return value.total_seconds()
        case bytes():
            return len(value)
        case Enum():
            return value.value
        case tuple():
            return [settings_as_json(each) for each in value]  # pyright: ignore[reportUnknownVariableType]
        case _:
            return value
