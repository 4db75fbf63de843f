"""The frozen, complete settings of an action, after the three levels are merged.

Specs are data: the control side reads them, the worker obeys them. They are sent once per
connection and named by digest afterwards.
"""

from datetime import timedelta
from enum import StrEnum

import msgspec


class Spec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of all parts of a spec: frozen, keyword-only, defaults left out of the bytes."""


class BackoffSpec(Spec, frozen=True, kw_only=True, omit_defaults=True):
    """Wait `base * factor ** (failures - 1)`, at most `cap`, before the next attempt."""

    base: timedelta
    factor: float = 1.0
    cap: timedelta | None = None


class RetrySpec(Spec, frozen=True, kw_only=True, omit_defaults=True):
    """How many further attempts the user's failures may cost."""

    count: int = 0
    backoff: BackoffSpec | None = None


class TimeoutSpec(Spec, frozen=True, kw_only=True, omit_defaults=True):
    """Bounds in time; None means unbounded."""

    max_runtime: timedelta | None = None
    max_queued_time: timedelta | None = None
    deadline: timedelta | None = None


class ResourceSpec(Spec, frozen=True, kw_only=True, omit_defaults=True):
    """What an attempt requests and may use. CPU in thousandths of a core, sizes in bytes."""

    cpu: int = 1000
    cpu_limit: int | None = None
    memory: int = 0
    memory_limit: int | None = None
    gpu: int = 0
    gpu_device: str | None = None
    """Model name such as `A100`; None is any."""
    gpu_partition: str | None = None
    accelerator: str = "gpu"
    """`gpu`, `tpu` or another device class."""
    disk: int | None = None
    shm: int | None = None
    shm_auto: bool = False


class CacheMode(StrEnum):
    AUTO = "auto"
    OVERRIDE = "override"
    DISABLE = "disable"


class CacheSpec(Spec, frozen=True, kw_only=True, omit_defaults=True):
    """How the cache is used; policies are evaluated on the user's side and arrive as `version`."""

    mode: CacheMode = CacheMode.DISABLE
    version: str | None = None
    serialize: bool = False
    ignored_inputs: tuple[str, ...] = ()
    salt: str = ""
    max_age: timedelta | None = None


class SecretSpec(Spec, frozen=True, kw_only=True, omit_defaults=True):
    """One secret; never its value."""

    key: str
    group: str | None = None
    as_env_var: str | None = None
    mount: str | None = None


class ReuseSpec(Spec, frozen=True, kw_only=True, omit_defaults=True):
    """Warm workers."""

    min_replicas: int
    max_replicas: int
    concurrency: int = 1
    idle_ttl: timedelta = timedelta(seconds=30)
    scaledown_ttl: timedelta = timedelta(seconds=30)
    scope: str = "global"


class LayerSpec(Spec, frozen=True, kw_only=True, omit_defaults=True):
    """One layer of an image: its kind (`pip`, `apt`, `commands`, ...) and its arguments as text."""

    kind: str
    arguments: tuple[str, ...] = ()


class ImageSpec(Spec, frozen=True, kw_only=True, omit_defaults=True):
    """The software a task needs. No layers and no reference: the running interpreter."""

    reference: str | None = None
    python: str | None = None
    platforms: tuple[str, ...] = ()
    layers: tuple[LayerSpec, ...] = ()


class LinkSpec(Spec, frozen=True, kw_only=True, omit_defaults=True):
    """A link shown with the action; placeholders are filled in by the engine."""

    name: str
    uri: str


class LoaderKind(StrEnum):
    MODULE = "module"
    """`module` can be imported; `qualname` is looked up in it."""
    MAIN = "main"
    """The main script, loaded under `__main__`'s identity."""
    VALUE = "value"
    """Carried as bytes: notebooks, nested functions."""
    RESOLVER = "resolver"
    """A TaskResolver of the user's: `module:qualname` names it, `arguments` go to it."""


class Loader(Spec, frozen=True, kw_only=True, omit_defaults=True):
    """How a worker finds the task."""

    kind: LoaderKind
    module: str = ""
    qualname: str = ""
    value: bytes = b""
    """cloudpickle bytes of the task; opened by workers only."""
    arguments: tuple[str, ...] = ()


class ActionKind(StrEnum):
    """What an action is a call of."""

    TASK = "task"
    STEP = "step"
    """A traced function, executed by the attempt that called it: it has no attempts of its own."""
    TIMER = "timer"
    """A durable sleep, kept by the engine."""


class ActionSpec(Spec, frozen=True, kw_only=True, omit_defaults=True):
    """Everything about an action that does not depend on its inputs."""

    task: str
    """Full name, `<environment>.<function>`; of a traced function `<module>.<qualified name>`."""
    short_name: str
    environment: str
    loader: Loader
    is_async: bool
    resources: ResourceSpec = ResourceSpec()
    env_vars: tuple[tuple[str, str], ...] = ()
    secrets: tuple[SecretSpec, ...] = ()
    retries: RetrySpec = RetrySpec()
    timeout: TimeoutSpec = TimeoutSpec()
    cache: CacheSpec = CacheSpec()
    interruptible: bool = False
    queue: str | None = None
    reusable: ReuseSpec | None = None
    image: ImageSpec = ImageSpec()
    max_inline_io_bytes: int = 10 * 1024 * 1024
    report: bool = False
    links: tuple[LinkSpec, ...] = ()
    pod_template: str | None = None
    """Its name, or the pod as JSON."""
    plugin: str | None = None
    plugin_config: str | None = None
    """The plugin's configuration as JSON."""
    description: str = ""
    entrypoint: bool = False
    not_enforced: tuple[str, ...] = ()
    """Parameters that were given and have no effect yet; said once per run."""
    kind: ActionKind = ActionKind.TASK
    result: bytes = b""
    """Of a timer: the encoded value that it gives, since the control side encodes none."""
