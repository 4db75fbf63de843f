"""Owning runs: asking for one that nobody executes, and keeping those that this engine does."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import timedelta

import msgspec

from volant.kit.clock import uptime
from volant.model.errors import EngineError, JournalError
from volant.model.ids import RunId
from volant.model.records import RunRecord
from volant.ports.leases import Leases, OwnedElsewhere

log = logging.getLogger("volant.engine")

_PER_LEASE = 3
"""So many times is a lease extended before it would run out."""


async def own(leases: Leases, record: RunRecord) -> RunRecord:
    """The record of a run as its owner from now on writes it.

    Raises:
        EngineError: another engine has it.
        RunNotFoundError: it was deleted meanwhile.
    """
    answer = await leases.acquire(record.run)
    if isinstance(answer, OwnedElsewhere):
        seconds = answer.remaining.total_seconds()
        msg = f"run '{record.run}' belongs to engine {answer.owner}, whose lease lasts another {seconds:.0f} s"
        raise EngineError(msg, hint="if that engine is dead, try again when the lease has run out")
    return msgspec.structs.replace(record, owner=answer.owner, token=answer.token)


class Term:
    """Until when this engine can be sure, without asking, that nobody else has taken what it owns."""

    def __init__(self, duration: timedelta, *, seconds: Callable[[], float] = uptime) -> None:
        """*duration* of its leases; *seconds* on a clock that goes on while the process, or the machine, sleeps."""
        self._duration = duration.total_seconds()
        self._seconds = seconds
        self._until = seconds() + self._duration

    @property
    def is_sure(self) -> bool:
        """Whether a lease cannot have run out yet."""
        return self._seconds() < self._until

    async def extend(self, leases: Leases) -> Sequence[RunId]:
        """As `Leases.extend`; what it extends is sure for another term, counted from when it was asked."""
        asked = self._seconds()
        lost = await leases.extend()
        self._until = asked + self._duration
        return lost


async def keep(
    leases: Leases,
    *,
    lost: Callable[[Sequence[RunId]], object],
    term: Term | None = None,
    sure: Callable[[], object] = lambda: None,
) -> None:
    """Extend all leases in time, until cancelled; *lost* hears of runs that another engine has taken.

    *term* is kept as well; *sure* is called when it could have been over, and goes on.

    Leases that never run out are left alone. A store that does not answer is asked again: until another engine takes
    them, the runs are this one's.
    """
    if leases.duration == timedelta.max:
        return
    pause = leases.duration.total_seconds() / _PER_LEASE
    while True:
        await asyncio.sleep(pause)
        was_sure = term is None or term.is_sure
        try:
            gone = await (leases.extend() if term is None else term.extend(leases))
        except JournalError as error:
            log.warning("the leases of this engine could not be extended: %s", error)
            continue
        if gone:
            lost(gone)
        if not was_sure:
            sure()
