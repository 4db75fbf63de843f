"""Reading what the journal has of a run that nobody executes, so that this engine can go on with it."""

from collections.abc import Mapping, Sequence

import msgspec

from volant.decide.live import Earlier
from volant.decide.restoring import Past
from volant.decide.surviving import Survivor
from volant.model.code import CodeSource
from volant.model.control_protocol import RunOptions
from volant.model.errors import JournalError
from volant.model.ids import ActionId, AttemptKey, SpecDigest
from volant.model.phases import ActionPhase
from volant.model.records import ActionRecord, AttemptRecord, RunRecord
from volant.model.specs import ActionSpec
from volant.model.submissions import decode_submission
from volant.model.worker_protocol import ForkedAttempt
from volant.ports.journal import Journal

_PAGE = 1000
_UNFINISHED = tuple(phase for phase in ActionPhase if not phase.is_final)
_decode_spec = msgspec.msgpack.Decoder(ActionSpec).decode


class Interrupted(msgspec.Struct, frozen=True, kw_only=True):
    """A run as its last engine left it."""

    record: RunRecord
    options: RunOptions
    code: CodeSource
    past: Past
    bodies: Mapping[SpecDigest, bytes]
    """The specs of its past as they are stored."""
    superfluous: tuple[AttemptKey, ...] = ()
    """Survivors of its past whose outcome is committed."""


async def read_interrupted(journal: Journal, record: RunRecord, forks: Sequence[ForkedAttempt] = ()) -> Interrupted:
    """All that is needed to go on with a run of which *forks* are, or were, there when its engine was gone.

    Raises:
        JournalError: something of it is not in the journal.
    """
    root = await journal.action(record.run, record.root)
    if root is None:
        raise _missing(record, "its root action")
    unfinished = await _unfinished(journal, record)
    parents = await _ended_parents(journal, record, unfinished)
    specs = dict.fromkeys(action.spec for action in (root, *unfinished, *parents))
    bodies = {spec: await _body(journal, record, spec) for spec in specs}
    options, code = decode_submission(record.options)
    here = {action.action for action in unfinished}
    return Interrupted(
        record=record,
        options=options,
        code=code,
        past=Past(
            root=root,
            unfinished=tuple(unfinished),
            ended_parents=tuple(parents),
            attempts=await _newest_attempts(journal, record, unfinished),
            specs={spec: _decode_spec(body) for spec, body in bodies.items()},
            seq=await journal.last_seq(record.run),
            survivors=tuple([await _survivor(journal, record, fork, here) for fork in forks]),
        ),
        bodies=bodies,
        superfluous=tuple([fork.attempt_key for fork in forks if await _is_over(journal, record, fork, here)]),
    )


async def _survivor(journal: Journal, record: RunRecord, fork: ForkedAttempt, here: set[ActionId]) -> Survivor:
    children: list[Earlier] = []
    after = 0
    # What the journal does not know has no children there.
    while fork.action in here and (
        page := await journal.actions(record.run, parent=fork.action, after=after, limit=_PAGE)
    ):
        children += [Earlier.of(child) for _, child in page if child.phase.is_final]
        after = page[-1][0]
    return Survivor(key=fork.attempt_key, action=fork.action, attempt=fork.attempt, children=tuple(children))


async def _is_over(journal: Journal, record: RunRecord, fork: ForkedAttempt, here: set[ActionId]) -> bool:
    """Whether the outcome of an attempt is committed as that of its action."""
    if fork.action in here:
        return False
    action = await journal.action(record.run, fork.action)
    return action is not None and fork.attempt < action.attempts


async def _unfinished(journal: Journal, record: RunRecord) -> list[ActionRecord]:
    found: list[ActionRecord] = []
    after = 0
    while page := await journal.actions(record.run, phases=_UNFINISHED, after=after, limit=_PAGE):
        # By position: a parent comes before what it called.
        found += [action for _, action in page]
        after = page[-1][0]
    return found


async def _ended_parents(journal: Journal, record: RunRecord, unfinished: list[ActionRecord]) -> list[ActionRecord]:
    here = {action.action for action in unfinished}
    wanted = {action.parent for action in unfinished if action.parent is not None} - here
    found = [await journal.action(record.run, parent) for parent in sorted(wanted)]
    return [action for action in found if action is not None]


async def _newest_attempts(
    journal: Journal, record: RunRecord, unfinished: list[ActionRecord]
) -> dict[ActionId, AttemptRecord]:
    newest: dict[ActionId, AttemptRecord] = {}
    for action in unfinished:
        # What only waited for a place has none, and that may be thousands.
        if action.attempts and (attempts := await journal.attempts(record.run, action.action)):
            newest[action.action] = attempts[-1]
    return newest


async def _body(journal: Journal, record: RunRecord, spec: SpecDigest) -> bytes:
    found = await journal.spec(spec)
    if found is None:
        raise _missing(record, f"spec {spec}")
    return found.body


def _missing(record: RunRecord, what: str) -> JournalError:
    msg = f"run '{record.run}' cannot be resumed: {what} is not in the journal"
    return JournalError(msg)
