"""Which attempts may be put away: those that only wait, and for long.

A durable sleep of a month should hold no process. An attempt that waits for timers alone, and for actions that were put
away themselves, can be ended and executed again when something has ended: its calls get their recorded outcomes.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from volant.decide.live import LiveAction, LiveAttempt, Stage
from volant.model.ids import ActionId

PARK_AFTER = timedelta(seconds=30)


def may_be_put_away(
    live: LiveAction, actions: Mapping[ActionId, LiveAction], *, now: datetime, park_after: timedelta
) -> bool:
    """Whether nothing can happen to the attempt for *park_after* at least."""
    attempt = live.attempt
    if live.stage is not Stage.RUNNING or attempt is None or not attempt.calls:
        return False
    if not (attempt.waits and attempt.for_engine) or attempt.telling:
        return False
    return not _is_blocked(attempt, actions, now + park_after)


def _is_blocked(attempt: LiveAttempt, actions: Mapping[ActionId, LiveAction], until: datetime) -> bool:
    # It may have thousands of calls and wake up for each: what blocked it last time mostly does so still.
    last = attempt.blocker
    if last is not None and last in actions and _blocks(actions[last], until):
        return True
    for action in attempt.calls.values():
        called = actions.get(action)
        if called is None or _blocks(called, until):
            attempt.blocker = action
            return True
    return False


def _blocks(called: LiveAction, until: datetime) -> bool:
    if called.stage is Stage.SLEEPING:
        return called.due_at is None or called.due_at < until
    return called.stage is not Stage.PAUSED
