"""Warm workers that serve one action after the other."""

from datetime import timedelta
from typing import Literal

from volant.authoring.validation import choice, duration, is_sequence, items, refuse_type, refuse_value, whole_number
from volant.authoring.value import Value

ReuseScope = Literal["global", "run"]


class ReusePolicy(Value):
    """How many workers of an environment stay warm, for how long, and how much each takes on.

    Args:
        replicas: the largest number of workers, or `(smallest, largest)`.
        idle_ttl: how long all of them stay when there is no work, in seconds or as a `timedelta`.
        concurrency: how many actions one of them runs at once; above 1 for async tasks only.
        scaledown_ttl: how long those above the smallest number stay without work, in seconds or as a `timedelta`.
        scope: `"global"` shares them between runs, `"run"` does not.

    Raises:
        DefinitionError: a value that cannot be.
    """

    replicas: int | tuple[int, int]
    idle_ttl: timedelta
    concurrency: int
    scaledown_ttl: timedelta
    scope: ReuseScope
    min_replicas: int
    max_replicas: int

    def __init__(
        self,
        replicas: int | tuple[int, int] = 2,
        idle_ttl: float | timedelta = timedelta(seconds=30),
        concurrency: int = 1,
        scaledown_ttl: float | timedelta = timedelta(seconds=30),
        scope: ReuseScope = "global",
    ) -> None:
        least, most = _bounds(replicas)
        self._keep(
            replicas=replicas if isinstance(replicas, int) else (least, most),
            idle_ttl=duration("ReusePolicy", "idle_ttl", idle_ttl, zero=True),
            concurrency=whole_number("ReusePolicy", "concurrency", concurrency, at_least=1),
            scaledown_ttl=duration("ReusePolicy", "scaledown_ttl", scaledown_ttl, zero=True),
            scope=choice("ReusePolicy", "scope", scope, ("global", "run")),
            min_replicas=least,
            max_replicas=most,
        )

    def _content(self) -> object:
        bounds = (self.min_replicas, self.max_replicas)
        return (*bounds, self.idle_ttl, self.concurrency, self.scaledown_ttl, self.scope)


def _bounds(replicas: object) -> tuple[int, int]:
    if not is_sequence(replicas):
        if isinstance(replicas, bool) or not isinstance(replicas, int):
            refuse_type("ReusePolicy", "replicas", replicas, "an int, 1 or more, or a pair (smallest, largest)")
        count = whole_number("ReusePolicy", "replicas", replicas, at_least=1)
        return count, count
    pair = items("ReusePolicy", "replicas", replicas, "an int or a pair (smallest, largest)")
    if len(pair) != 2:
        refuse_value("ReusePolicy", "replicas", pair, "an int or a pair (smallest, largest)")
    least = whole_number("ReusePolicy", "the smallest number of replicas", pair[0], at_least=0)
    most = whole_number("ReusePolicy", "the largest number of replicas", pair[1], at_least=1)
    if least > most:
        refuse_value("ReusePolicy", "replicas", pair, "a smallest number that is not above the largest")
    return least, most
