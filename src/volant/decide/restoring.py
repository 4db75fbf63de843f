"""The live part of a run, made again from its rows after the engine that executed it is gone.

An attempt that outlived the engine goes on as it is. Every other action that had not ended goes on as if its worker had
just been lost: it is queued again, its parent is executed again too, unless it goes on, and finds it there when it asks
for it. What had ended is not made again; it is replayed.
"""

from collections.abc import Mapping
from datetime import datetime

import msgspec

from volant.decide.live import LiveAction, LiveAttempt, Stage
from volant.decide.retrying import RunAgain, after_failure
from volant.decide.surviving import Survivor
from volant.model.failures import Failure, FailureKind
from volant.model.ids import ActionId, SpecDigest
from volant.model.phases import ActionPhase
from volant.model.records import ActionRecord, AttemptRecord
from volant.model.specs import ActionSpec

_LOST = Failure(kind=FailureKind.LOST, code="EngineLost", message="the engine that executed the attempt is gone")


class Past(msgspec.Struct, frozen=True, kw_only=True):
    """What the journal has of a run that nobody executes."""

    root: ActionRecord
    unfinished: tuple[ActionRecord, ...]
    """Its actions that have not ended, parents before their children."""
    ended_parents: tuple[ActionRecord, ...]
    """Actions that have ended and are parents of such."""
    attempts: Mapping[ActionId, AttemptRecord]
    """The newest attempt of every unfinished action that had one."""
    specs: Mapping[SpecDigest, ActionSpec]
    """Of all actions named here."""
    seq: int
    """Place of the last entry in the run's change feed."""
    survivors: tuple[Survivor, ...] = ()
    """Attempts that outlived the engine."""


class Revived(msgspec.Struct, frozen=True, kw_only=True):
    """An action that goes on."""

    live: LiveAction
    interrupted: LiveAttempt | None
    """The attempt that was under way when the engine was gone, as far as the journal knows. Of one that was only
    admitted there is no row, and its phase is QUEUED."""
    is_orphan: bool
    """Whether its parent has ended, so that it must end too."""


def revive(past: Past, now: datetime) -> tuple[LiveAction, list[Revived]]:
    """The root, and all that had not ended, parents before their children, each linked to its parent."""
    made: dict[ActionId, LiveAction] = {}
    for record in (past.root, *past.ended_parents):
        if record.phase.is_final:
            made[record.action] = _ended(record, past)
    revived: list[Revived] = []
    for record in past.unfinished:
        parent = None if record.parent is None else made.get(record.parent)
        live = made[record.action] = _unended(record, parent, past, now)
        if parent is not None:
            parent.children[live.id] = live
        revived.append(
            Revived(
                live=live,
                interrupted=_interrupted(record, past.attempts.get(live.id)),
                is_orphan=record.parent is not None and (parent is None or parent.stage is Stage.ENDED),
            )
        )
    return made[past.root.action], revived


def _ended(record: ActionRecord, past: Past) -> LiveAction:
    live = _made(record, None, past)
    live.stage = Stage.ENDED
    live.failure = record.failure
    live.outputs = record.outputs
    return live


def _unended(record: ActionRecord, parent: LiveAction | None, past: Past, now: datetime) -> LiveAction:
    live = _made(record, parent, past)
    attempt = past.attempts.get(live.id)
    if attempt is not None:
        live.attempts = max(live.attempts, attempt.attempt + 1)
        if attempt.phase is ActionPhase.FAILED and attempt.failure is not None and attempt.ended_at is not None:
            # By a clock that was set back since, it ended in the future; the wait must not be the longer for it.
            ended_at = min(attempt.ended_at, now)
            again = after_failure(
                live.spec.retries, attempt.failure, user_failures=live.user_failures, lost=0, now=ended_at
            )
            live.not_before = again.at if isinstance(again, RunAgain) else None
    return live


def _made(record: ActionRecord, parent: LiveAction | None, past: Past) -> LiveAction:
    live = LiveAction(
        action=record.action,
        parent=parent,
        spec_digest=record.spec,
        spec=past.specs[record.spec],
        inputs=record.inputs,
        inputs_digest=record.inputs_digest,
        group=record.group,
        created_at=record.created_at,
    )
    live.phase = record.phase
    live.parent_failures = record.parent_failures
    live.attempts = record.attempts
    live.user_failures = record.user_failures
    # Whoever resumes a run begins anew with the budget for what is lost.
    live.lost = live.forgiven = record.lost
    live.checkpoint = record.checkpoint
    live.due_at = record.due_at
    live.started_at = record.started_at
    live.ended_at = record.ended_at
    live.outcome_seq = record.outcome_seq
    return live


def _interrupted(action: ActionRecord, record: AttemptRecord | None) -> LiveAttempt | None:
    newest = -1 if record is None else record.attempt
    if newest < action.attempts - 1:
        return LiveAttempt(action.attempts - 1, action.created_at)
    # What was put away has ended, without an outcome.
    if record is None or record.phase.is_final or record.ended_at is not None:
        return None
    attempt = LiveAttempt(record.attempt, record.queued_at)
    attempt.phase = record.phase
    attempt.pid = record.pid
    attempt.started_at = record.started_at
    attempt.log = record.log
    return attempt


def lose(attempt: LiveAttempt, now: datetime) -> None:
    """Nothing is left of an attempt that was under way."""
    attempt.phase = ActionPhase.FAILED
    attempt.ended_at = now
    attempt.failure = _LOST
