"""Bounds in time."""

from datetime import timedelta

from volant.authoring.validation import duration
from volant.authoring.value import Value


class Timeout(Value):
    """How long an attempt may run, an attempt may be queued, and an action may take altogether.

    Args:
        max_runtime: of each attempt, from start to end of the user's code.
        max_queued_time: of each attempt, from queued to started.
        deadline: of the action, from its creation to its end, all attempts together.

    All are seconds or a `timedelta`; 0 and None mean unbounded.

    Raises:
        DefinitionError: a duration that cannot be.
    """

    max_runtime: timedelta | None
    max_queued_time: timedelta | None
    deadline: timedelta | None

    def __init__(
        self,
        max_runtime: float | timedelta | None = None,
        max_queued_time: float | timedelta | None = None,
        deadline: float | timedelta | None = None,
    ) -> None:
        self._keep(
            max_runtime=_bound("max_runtime", max_runtime),
            max_queued_time=_bound("max_queued_time", max_queued_time),
            deadline=_bound("deadline", deadline),
        )


def as_timeout(where: str, value: object) -> Timeout:
    """A timeout in its full form."""
    if isinstance(value, Timeout):
        return value
    return Timeout(max_runtime=duration(where, "timeout", value, zero=True, also=", or a Timeout"))  # 0 is unbounded


def _bound(parameter: str, value: object) -> timedelta | None:
    if value is None:
        return None
    return duration("Timeout", parameter, value, zero=True) or None
