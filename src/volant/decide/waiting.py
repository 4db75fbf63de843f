"""Why actions wait: read off the rules' state, changing nothing."""

from collections.abc import Iterable, Mapping
from typing import assert_never

from volant.decide.live import LiveAction, Stage
from volant.decide.placement import Placement
from volant.model.ids import ActionId, AttemptKey, RunId
from volant.model.waits import Wait, WaitKind


def why_waiting(
    run: RunId, actions: Iterable[LiveAction], placement: Placement, keys: Mapping[ActionId, AttemptKey]
) -> dict[ActionId, Wait]:
    """What each of a run's live actions waits for; those that work are absent.

    *keys* are the places in line of those that are queued.
    """
    actions = list(actions)
    queued = [action.id for action in actions if action.stage is Stage.QUEUED and action.id in keys]
    found = _in_line(run, queued, placement, keys) if queued else {}
    for action in actions:
        wait = _wait(action)
        if wait is not None:
            found[action.id] = wait
    return found


def _in_line(
    run: RunId, queued: list[ActionId], placement: Placement, keys: Mapping[ActionId, AttemptKey]
) -> dict[ActionId, Wait]:
    line = {key: (ahead, request) for ahead, (key, request) in enumerate(placement.line(run))}
    found: dict[ActionId, Wait] = {}
    for action in queued:
        standing = line.get(keys[action])
        if standing is not None:
            ahead, request = standing
            found[action] = Wait(kind=WaitKind.PLACE, ahead=ahead, lacks=placement.lacks(request))
    return found


def _wait(action: LiveAction) -> Wait | None:
    match action.stage:
        case Stage.BACKING_OFF:
            return Wait(kind=WaitKind.BACKOFF, until=action.not_before)
        case Stage.SLEEPING:
            return Wait(kind=WaitKind.TIMER, until=action.due_at)
        case Stage.HELD:
            return Wait(kind=WaitKind.ENDING, reason="what it had called when it was executed before")
        case Stage.PAUSING | Stage.PAUSED:
            timers = [child.due_at for child in action.children.values() if child.due_at is not None]
            return Wait(kind=WaitKind.PAUSED, until=min(timers, default=None), calls=len(action.children))
        case Stage.STARTING:
            return Wait(kind=WaitKind.PROCESS)
        case Stage.RUNNING:
            attempt = action.attempt
            if attempt is None or not attempt.waits:
                return None
            return Wait(kind=WaitKind.CHILDREN if attempt.calls else WaitKind.EVENT, calls=len(attempt.calls))
        case Stage.FINISHED | Stage.ENDING:
            return Wait(kind=WaitKind.ENDING, reason=action.abort_reason or "")
        case Stage.QUEUED | Stage.ENDED:
            return None
        case _:
            assert_never(action.stage)
