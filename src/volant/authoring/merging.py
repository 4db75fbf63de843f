"""From the levels of a task to the frozen spec of an action."""

from typing import TYPE_CHECKING, Any

from volant.authoring.enforcement import not_enforced, refuse_unsupported
from volant.authoring.images import Image
from volant.authoring.links import link_spec
from volant.authoring.locating import loader_of
from volant.authoring.parameters import Settings
from volant.authoring.plugins import default_plugins
from volant.authoring.pods import PodTemplate
from volant.authoring.resources import Resources
from volant.authoring.retries import RetryStrategy
from volant.authoring.reuse import ReusePolicy
from volant.authoring.secrets import Secret
from volant.authoring.timeouts import Timeout
from volant.model.specs import (
    ActionSpec,
    BackoffSpec,
    CacheMode,
    CacheSpec,
    ImageSpec,
    LayerSpec,
    LinkSpec,
    ResourceSpec,
    RetrySpec,
    ReuseSpec,
    SecretSpec,
    TimeoutSpec,
)

if TYPE_CHECKING:
    from volant.authoring.task import Task

DEFAULT_MAX_INLINE_IO_BYTES = 10 * 1024 * 1024
_DEFAULT_CORES = 1000
"""Thousandths: what a task without `resources` requests."""


def merged_spec(task: "Task[..., Any]", given: Settings) -> ActionSpec:
    """The spec of an action that calls *task*, whose settings, merged, are *given*.

    Raises:
        NotSupportedError: this version lacks something that cannot be ignored.
        CallError: the task has to travel by value, and cannot.
    """
    where = f"task {task.name!r}"
    refuse_unsupported(where, given)
    image = given.get("image", "auto")
    reuse = given.get("reusable", "off")
    config = given.get("plugin_config")
    plugin = None if config is None else default_plugins.plugin_for(where, config)
    return ActionSpec(
        task=task.name,
        short_name=task.short_name,
        environment=task.environment.name,
        loader=loader_of(task, given.get("task_resolver")),
        is_async=task.interface.is_async,
        resources=_resources(given.get("resources")),
        env_vars=_env_vars(image, given.get("env_vars", {})),
        secrets=tuple(_secret(secret) for secret in given.get("secrets", ())),
        retries=_retries(given.get("retries")),
        timeout=_timeout(given.get("timeout")),
        cache=_cache(given),
        interruptible=given.get("interruptible", False),
        queue=given.get("queue") or None,
        reusable=None if reuse == "off" else _reuse(reuse),
        image=_image(image),
        max_inline_io_bytes=given.get("max_inline_io_bytes", DEFAULT_MAX_INLINE_IO_BYTES),
        report=given.get("report", False),
        links=_links(given),
        pod_template=_pod_template(given),
        plugin=None if plugin is None else plugin.name,
        plugin_config=None if plugin is None else plugin.to_json(config),
        description=task.docs.description,
        entrypoint=given.get("entrypoint", False),
        not_enforced=not_enforced(given),
    )


def _resources(given: Resources | None) -> ResourceSpec:
    if given is None:
        return ResourceSpec(cpu=_DEFAULT_CORES)
    cpu, memory, device = given.cpu_range, given.memory_range, given.device
    return ResourceSpec(
        cpu=_DEFAULT_CORES if cpu is None else cpu[0],
        cpu_limit=None if cpu is None else cpu[1],
        memory=0 if memory is None else memory[0],
        memory_limit=None if memory is None else memory[1],
        gpu=0 if device is None else device.quantity,
        gpu_device=None if device is None else device.device,
        gpu_partition=None if device is None else device.partition,
        accelerator="gpu" if device is None else device.device_class,
        disk=given.disk_bytes,
        shm=given.shm_bytes,
        shm_auto=given.shm == "auto",
    )


def _env_vars(image: Image | str, given: dict[str, str]) -> tuple[tuple[str, str], ...]:
    merged: dict[str, str] = {}
    for layer in image.layers if isinstance(image, Image) else ():
        if layer.kind == "env":
            for argument in layer.arguments:
                name, _, value = argument.partition("=")
                merged[name] = value
    return tuple(sorted({**merged, **given}.items()))


def _secret(secret: Secret) -> SecretSpec:
    return SecretSpec(key=secret.key, group=secret.group, as_env_var=secret.as_env_var, mount=secret.mount)


def _retries(given: RetryStrategy | None) -> RetrySpec:
    if given is None:
        return RetrySpec()
    backoff = given.backoff
    if backoff is None:
        return RetrySpec(count=given.count)
    wait = BackoffSpec(base=backoff.base, factor=backoff.factor, cap=backoff.cap)
    return RetrySpec(count=given.count, backoff=wait)


def _timeout(given: Timeout | None) -> TimeoutSpec:
    if given is None:
        return TimeoutSpec()
    return TimeoutSpec(max_runtime=given.max_runtime, max_queued_time=given.max_queued_time, deadline=given.deadline)


def _cache(given: Settings) -> CacheSpec:
    if "cache" not in given:
        return CacheSpec()
    cache = given["cache"]
    return CacheSpec(
        mode=CacheMode(cache.behavior),
        version=cache.version_override,
        serialize=cache.serialize,
        ignored_inputs=cache.ignored_inputs,
        salt=cache.salt,
        max_age=cache.max_age,
    )


def _reuse(policy: ReusePolicy) -> ReuseSpec:
    return ReuseSpec(
        min_replicas=policy.min_replicas,
        max_replicas=policy.max_replicas,
        concurrency=policy.concurrency,
        idle_ttl=policy.idle_ttl,
        scaledown_ttl=policy.scaledown_ttl,
        scope=policy.scope,
    )


def _image(image: Image | str) -> ImageSpec:
    if isinstance(image, str):
        return ImageSpec(reference=None if image == "auto" else image)
    layers = tuple(LayerSpec(kind=layer.kind, arguments=layer.arguments) for layer in image.layers)
    return ImageSpec(reference=image.reference, python=image.python_version, platforms=image.platform, layers=layers)


def _links(given: Settings) -> tuple[LinkSpec, ...]:
    return tuple(link_spec(link) for link in given.get("links", ()))


def _pod_template(given: Settings) -> str | None:
    template = given.get("pod_template")
    if isinstance(template, PodTemplate):
        return template.to_json()
    return template or None
