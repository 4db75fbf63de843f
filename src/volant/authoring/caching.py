"""How a task's results are reused."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Literal, Protocol, cast, runtime_checkable

from volant.authoring.images import Image
from volant.authoring.validation import (
    choice,
    duration,
    filled_text,
    flag,
    items,
    refuse_type,
    refuse_value,
    text,
    texts,
)
from volant.authoring.value import Value

CacheBehavior = Literal["auto", "override", "disable"]
_BEHAVIORS = ("auto", "override", "disable")


class VersionParameters(Value):
    """What a cache policy is told about the task: its plain function, and its image where it has one."""

    func: Callable[..., Any]
    image: Image | str | None

    def __init__(self, func: Callable[..., Any], image: Image | str | None = None) -> None:
        self._keep(func=func, image=image)


@runtime_checkable
class CachePolicy(Protocol):
    """Decides which version of a task an entry belongs to: any object with this method."""

    def get_version(self, salt: str, parameters: VersionParameters, /) -> str:
        """A text that changes when old entries must not be used any more.

        *salt* is that of the `Cache`.
        """
        ...


class Cache(Value):
    """When to read and write the cache, and what a key is made of.

    Args:
        behavior: `"auto"` reads and writes, `"override"` writes only, `"disable"` does neither.
        version_override: replaces the identity of the code in the key.
        serialize: one of several equal calls executes, and the others wait for it.
        ignored_inputs: names of inputs that are left out of the key.
        salt: becomes part of the key; a new one forgets what was cached.
        policies: replace the identity of the code, see `CachePolicy`; not together with `version_override`.
        max_age: older entries do not count; seconds or a `timedelta`.

    Raises:
        DefinitionError: a value that cannot be.
    """

    behavior: CacheBehavior
    version_override: str | None
    serialize: bool
    ignored_inputs: tuple[str, ...]
    salt: str
    policies: tuple[CachePolicy, ...]
    max_age: timedelta | None

    def __init__(
        self,
        behavior: CacheBehavior = "auto",
        *,
        version_override: str | None = None,
        serialize: bool = False,
        ignored_inputs: str | Sequence[str] = (),
        salt: str = "",
        policies: CachePolicy | Sequence[CachePolicy] | None = None,
        max_age: float | timedelta | None = None,
    ) -> None:
        version = None if version_override is None else filled_text("Cache", "version_override", version_override)
        ignored = (ignored_inputs,) if isinstance(ignored_inputs, str) else ignored_inputs
        kept = _policies(policies)
        if version is not None and kept:
            refuse_value("Cache", "policies", policies, "none beside version_override, which replaces them")
        self._keep(
            behavior=choice("Cache", "behavior", behavior, _BEHAVIORS),
            version_override=version,
            serialize=flag("Cache", "serialize", serialize),
            ignored_inputs=texts("Cache", "ignored_inputs", ignored),
            salt=text("Cache", "salt", salt),
            policies=kept,
            max_age=None if max_age is None else duration("Cache", "max_age", max_age, zero=False),
        )


CacheRequest = CacheBehavior | Cache


def as_cache(where: str, value: object) -> Cache:
    """A cache request in its full form."""
    if isinstance(value, Cache):
        return value
    wanted = "'auto', 'override', 'disable' or a Cache"
    if not isinstance(value, str):
        refuse_type(where, "cache", value, wanted)
    return Cache(cast(CacheBehavior, choice(where, "cache", value, _BEHAVIORS)))


def _policies(value: object) -> tuple[CachePolicy, ...]:
    if value is None:
        return ()
    if isinstance(value, CachePolicy) and not isinstance(value, type):
        return (value,)
    wanted = "an object with get_version(salt, parameters), or a sequence of them"
    policies = items("Cache", "policies", value, wanted)
    for index, item in enumerate(policies):
        if isinstance(item, type) or not isinstance(item, CachePolicy):
            refuse_type("Cache", f"policies[{index}]", item, "an object with get_version(salt, parameters)")
    return cast("tuple[CachePolicy, ...]", policies)
