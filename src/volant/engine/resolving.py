"""From what a client wants taken over to what a run has to know to take it over."""

from collections.abc import Callable, Sequence

import msgspec

from volant.decide.reusing import again_from
from volant.engine.lookups import Lookups
from volant.model.errors import CallError
from volant.model.records import ActionRecord, RunRecord
from volant.model.reusing import Again, Reuse


async def resolve(reuse: Reuse, lookups: Lookups, check: Callable[[RunRecord], None]) -> tuple[RunRecord, Reuse]:
    """The run that a client means, and all that a run that takes over from it has to know.

    Raises:
        RunNotFoundError: there is no such run, or several.
        ActionNotFoundError: it has no such action, or several.
        CallError: it has not ended.
        EngineError: *check* refuses it.
    """
    record = await lookups.named(reuse.run)
    if not record.phase.is_final:
        msg = f"run '{record.run}' has not ended ({record.phase}): what it will have done cannot be taken over yet"
        hint = f"`volant attach {record.run}` waits for it, `volant resume {record.run}` goes on with it"
        raise CallError(msg, hint=f"{hint}, `volant abort {record.run}` ends it")
    check(record)
    again: tuple[Again, ...] = ()
    if reuse.from_action is not None:
        again = again_from(await _path(lookups, record, reuse.from_action))
    return record, msgspec.structs.replace(reuse, run=record.run, created_at=record.created_at, again=again)


async def _path(lookups: Lookups, record: RunRecord, name: str) -> Sequence[ActionRecord]:
    path = [await lookups.action_named(record.run, name)]
    while (parent := path[-1].parent) is not None:
        path.append(await lookups.action_named(record.run, parent))
    return path[::-1]
