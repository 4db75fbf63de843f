"""What follows a failed attempt."""

from datetime import datetime, timedelta
from typing import assert_never

import msgspec

from volant.model.failures import Failure, FailureKind
from volant.model.specs import BackoffSpec, RetrySpec

LOST_BUDGET = 3
"""How often an action may lose its worker before it fails."""

SUSPECT_AFTER = 2
"""After so many losses an attempt gets a guardian of its own, so that it takes nobody along if it ends its guardian."""


class RunAgain(msgspec.Struct, frozen=True, kw_only=True):
    """Queue another attempt, not before *at*."""

    at: datetime


class GiveUp(msgspec.Struct, frozen=True, kw_only=True):
    """The action has failed."""


def after_failure(
    policy: RetrySpec, failure: Failure, *, user_failures: int, lost: int, now: datetime
) -> RunAgain | GiveUp:
    """Decide what follows a failed attempt; the counts include it.

    Only the user's failures use up `retries`: a task must not fail for good because its machine was
    taken away. Lost workers have a budget of their own, so that a task that takes its machine down
    does not do so for ever.
    """
    match failure.kind:
        case FailureKind.USER:
            if not failure.retryable or user_failures > policy.count:
                return GiveUp()
            return RunAgain(at=now + delay(policy.backoff, user_failures))
        case FailureKind.LOST:
            return GiveUp() if lost > LOST_BUDGET else RunAgain(at=now)
        case FailureKind.SYSTEM | FailureKind.ABORTED:
            return GiveUp()
        case _:
            assert_never(failure.kind)


def delay(backoff: BackoffSpec | None, failures: int) -> timedelta:
    """How long to wait after the *failures*-th failure, counted from 1."""
    if backoff is None:
        return timedelta(0)
    ceiling = _LONGEST if backoff.cap is None else min(backoff.cap, _LONGEST)
    try:
        wait = backoff.base * backoff.factor ** (failures - 1)
    except OverflowError:
        return ceiling
    return min(wait, ceiling)


_LONGEST = timedelta(days=365)
"""The end of such a wait can still be told as an instant."""
