"""Records to fill a journal with, and how a refusal is caught."""

from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta

import msgspec

from volant.model.errors import JournalError, VolantError
from volant.model.ids import ActionId, RunId, SpecDigest
from volant.model.payloads import Inline
from volant.model.phases import ActionPhase
from volant.model.records import ActionRecord, AttemptRecord, Change, ChangeKind, RunRecord

START = datetime(2024, 2, 29, 12, 30, 15, 123456, tzinfo=UTC)
"""An instant with microseconds, from which the samples count."""


def action_id(number: int) -> ActionId:
    """A well-formed id; neighbours share no prefix."""
    return ActionId(f"{number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % (1 << 128):032x}")


def sample_run(
    name: str = "r1", *, age: int = 0, phase: ActionPhase = ActionPhase.RUNNING, **fields: object
) -> RunRecord:
    """A run that was created *age* seconds after `START`."""
    record = RunRecord(
        run=RunId(name), task="flights.main", root=action_id(0), phase=phase, created_at=START + timedelta(seconds=age)
    )
    return msgspec.structs.replace(record, **fields)


def sample_action(
    number: int,
    *,
    run: str = "r1",
    parent: int | None = 0,
    phase: ActionPhase = ActionPhase.QUEUED,
    **fields: object,
) -> ActionRecord:
    """Action *number* of a run, a child of action *parent*."""
    record = ActionRecord(
        run=RunId(run),
        action=action_id(number),
        parent=None if parent is None else action_id(parent),
        task="flights.delays",
        short_name="delays",
        spec=SpecDigest("5" * 64),
        phase=phase,
        inputs=Inline(data=b"\x01"),
        created_at=START,
    )
    return msgspec.structs.replace(record, **fields)


def sample_attempt(action: int, attempt: int = 0, *, run: str = "r1", **fields: object) -> AttemptRecord:
    """An attempt at action number *action*."""
    record = AttemptRecord(
        run=RunId(run), action=action_id(action), attempt=attempt, phase=ActionPhase.RUNNING, queued_at=START
    )
    return msgspec.structs.replace(record, **fields)


def sample_change(seq: int, *, run: str = "r1", **fields: object) -> Change:
    """Entry *seq* of a run's feed."""
    record = Change(run=RunId(run), seq=seq, kind=ChangeKind.WARNING, at=START, phase=ActionPhase.RUNNING)
    return msgspec.structs.replace(record, **fields)


async def refused(asked: Awaitable[object], wanted: type[VolantError] = JournalError) -> VolantError:
    """The error with which a commit or a question is refused."""
    try:
        await asked
    except wanted as error:
        return error
    raise AssertionError(f"it was accepted, wanted {wanted.__name__}")
