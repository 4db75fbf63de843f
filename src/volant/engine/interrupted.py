"""Runs that no engine executes: the one that did ended before they did, or could not go on with them."""

from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec

from volant.decide.live import AbortCause
from volant.model.failures import Failure, FailureKind
from volant.model.phases import ActionPhase
from volant.model.records import ActionRecord, AttemptRecord, Batch, Change, ChangeKind, RunRecord
from volant.ports.journal import Journal

_PAGE = 1000
_UNFINISHED = tuple(phase for phase in ActionPhase if not phase.is_final)


async def abort_interrupted(journal: Journal, record: RunRecord, reason: str, now: datetime) -> None:
    """Write that the run and all its actions that have not ended were aborted. Nothing of it may be alive.

    Should this process die meanwhile, it can be done again: the run's own end is written last.

    Raises:
        JournalError: some ends may be written, that of the run is not.
    """
    await _end(journal, record, now, lambda action: _failure(action, reason, AbortCause.ASKED))


async def fail_interrupted(journal: Journal, record: RunRecord, failure: Failure, now: datetime) -> Sequence[Change]:
    """Write that the run failed so, unless its root had ended, and that its other actions were aborted.

    As `abort_interrupted` in all else; the last change is returned.

    Raises:
        JournalError: some ends may be written, that of the run is not.
    """

    def ended(action: ActionRecord) -> Failure:
        if action.action != record.root:
            return _failure(action, "the engine could not go on with its run", AbortCause.PARENT)
        return msgspec.structs.replace(failure, attempts=action.attempts, action=str(action.action), task=action.task)

    return await _end(journal, record, now, ended)


async def _end(
    journal: Journal, record: RunRecord, now: datetime, failure_of: Callable[[ActionRecord], Failure]
) -> Sequence[Change]:
    seq = await journal.last_seq(record.run)
    while True:
        page = await journal.actions(record.run, phases=_UNFINISHED, limit=_PAGE)
        if not page:
            break
        actions: list[ActionRecord] = []
        attempts: list[AttemptRecord] = []
        changes: list[Change] = []
        for _, action in page:
            seq += 1
            ended = _ended(action, failure_of(action), seq, now)
            actions.append(ended)
            changes.append(_change(ended, seq, now))
            attempts += _aborted_attempts(await journal.attempts(record.run, action.action), now)
        await journal.commit(Batch(actions=tuple(actions), attempts=tuple(attempts), changes=tuple(changes)))
    root = await journal.action(record.run, record.root)
    # It may have had its outcome; only what was left below it was cut off.
    phase = ActionPhase.ABORTED if root is None else root.phase
    failure = None if root is None else root.failure
    ended_run = msgspec.structs.replace(record, phase=phase, ended_at=now, failure=failure)
    end = Change(run=record.run, seq=seq + 1, kind=ChangeKind.RUN_ENDED, at=now, phase=phase)
    await journal.commit(Batch(runs=(ended_run,), changes=(end,)))
    return (end,)


def _failure(action: ActionRecord, reason: str, cause: AbortCause) -> Failure:
    return Failure(
        kind=FailureKind.ABORTED,
        code=cause,
        message=reason,
        attempts=action.attempts,
        action=action.action,
        task=action.task,
    )


def _ended(action: ActionRecord, failure: Failure, seq: int, now: datetime) -> ActionRecord:
    phase = ActionPhase.ABORTED if failure.kind is FailureKind.ABORTED else ActionPhase.FAILED
    return msgspec.structs.replace(action, phase=phase, ended_at=now, outcome_seq=seq, failure=failure)


def _aborted_attempts(attempts: Sequence[AttemptRecord], now: datetime) -> list[AttemptRecord]:
    return [
        msgspec.structs.replace(attempt, phase=ActionPhase.ABORTED, ended_at=now)
        for attempt in attempts
        if not attempt.phase.is_final and attempt.ended_at is None
    ]


def _change(action: ActionRecord, seq: int, now: datetime) -> Change:
    return Change(
        run=action.run,
        seq=seq,
        kind=ChangeKind.ACTION_ENDED,
        at=now,
        phase=action.phase,
        action=action.action,
        parent=action.parent,
        name=action.short_name,
        message="" if action.failure is None else f"{action.failure.code}: {action.failure.first_line}",
    )
