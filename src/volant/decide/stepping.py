"""Actions that nobody launches: traced functions, which their callers execute, and timers, which the engine keeps."""

from datetime import datetime, timedelta

from volant.decide.live import Earlier, LiveAction
from volant.model.records import ActionRecord
from volant.model.specs import ActionSpec
from volant.model.worker_protocol import Failed, StepEnded


def step_of(
    parent: LiveAction, ended: StepEnded, spec: ActionSpec, earlier: Earlier | None, now: datetime
) -> LiveAction:
    """The action of a traced function that has just ended; *earlier* is its outcome of before, which does not hold."""
    began = now - timedelta(seconds=max(0.0, min(ended.seconds, _LONGEST)))
    live = LiveAction.below(parent, ended, spec, began)
    if earlier is not None:
        live.resume(earlier)
    live.started_at = began
    live.attempts += 1
    if isinstance(ended.outcome, Failed):
        live.user_failures += 1
    return live


def taken_step(parent: LiveAction, found: ActionRecord, spec: ActionSpec, now: datetime) -> LiveAction:
    """The action of a traced function whose outcome is taken over from another run."""
    live = LiveAction.below(parent, found, spec, now)
    live.reused_from = found.reused_from or found.run
    return live


def due_after(delay: float, now: datetime) -> datetime:
    """When a timer ends that is to last *delay* seconds; one beyond the calendar lasts very long."""
    return now + timedelta(seconds=max(0.0, min(delay, _FOREVER)))


_FOREVER = 100 * 365 * 86_400.0
_LONGEST = 365 * 86_400.0
"""Seconds; whoever says more has no clock."""
