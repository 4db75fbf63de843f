"""How often a failed attempt is followed by another, and after which wait."""

from datetime import timedelta

from volant.authoring.validation import duration, instance_of, number, refuse_type, refuse_value, whole_number
from volant.authoring.value import Value


class Backoff(Value):
    """Wait *base* after the first failure, *factor* times as long after each further one, at most *cap*.

    Args:
        base: seconds or a `timedelta`; 0 is no wait.
        factor: 1 or more; 1 waits equally long each time.
        cap: seconds or a `timedelta`, at least *base*; None is no bound below a year.

    Raises:
        DefinitionError: a value that cannot be.
    """

    base: timedelta
    factor: float
    cap: timedelta | None

    def __init__(self, base: float | timedelta, factor: float = 1.0, cap: float | timedelta | None = None) -> None:
        wanted = "a finite number, 1 or more"
        if number("Backoff", "factor", factor, wanted) < 1:
            refuse_value("Backoff", "factor", factor, wanted)
        first = duration("Backoff", "base", base, zero=True)
        most = None if cap is None else duration("Backoff", "cap", cap, zero=True)
        if most is not None and most < first:
            refuse_value("Backoff", "cap", cap, f"at least the base, {first.total_seconds():g} s")
        self._keep(base=first, factor=float(factor), cap=most)


class RetryStrategy(Value):
    """*count* further attempts after failures of the user's code, each after a wait when there is a `Backoff`.

    Lost workers do not count: they have a budget of their own. `NonRecoverableError` ends the attempts at once.

    Raises:
        DefinitionError: a count that is no whole number from 0 on, or a backoff that is none.
    """

    count: int
    backoff: Backoff | None

    def __init__(self, count: int, backoff: Backoff | None = None) -> None:
        if backoff is not None:
            instance_of("RetryStrategy", "backoff", backoff, Backoff, "a Backoff such as Backoff(base=1, factor=2)")
        self._keep(count=whole_number("RetryStrategy", "count", count, at_least=0), backoff=backoff)


def as_retries(where: str, value: object) -> RetryStrategy:
    """Retries in their full form."""
    if isinstance(value, RetryStrategy):
        return value
    if isinstance(value, bool) or not isinstance(value, int):
        refuse_type(where, "retries", value, "an int, 0 or more, or a RetryStrategy")
    return RetryStrategy(whole_number(where, "retries", value, at_least=0))
