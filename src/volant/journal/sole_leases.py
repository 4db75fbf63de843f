"""Leases where one process has the whole journal, by a lock on its home: nobody is there to take a run away."""

from collections.abc import Sequence
from datetime import timedelta

from volant.model.errors import RunNotFoundError
from volant.model.ids import RunId
from volant.ports.journal import Journal
from volant.ports.leases import Lease, OwnedElsewhere


class SoleLeases:
    """The `Leases` of the only owner of an open journal. That there is no other, somebody else sees to."""

    def __init__(self, journal: Journal, *, owner: str) -> None:
        self._journal = journal
        self._owner = owner
        self._tokens: dict[RunId, int] = {}
        self._released: set[RunId] = set()
        """Runs that it began and let go."""

    @property
    def owner(self) -> str:
        return self._owner

    @property
    def duration(self) -> timedelta:
        return timedelta.max

    async def acquire(self, run: RunId) -> Lease | OwnedElsewhere:
        record = await self._journal.run(run)
        if record is None:
            raise RunNotFoundError(f"run {run!r} is not in the journal, so nobody can own it")
        if record.owner == self._owner:
            token = self._tokens[run] = max(record.token, 1)
        else:
            token = self._tokens.setdefault(run, record.token + 1)
        self._released.discard(run)
        return Lease(run=run, owner=self._owner, token=token)

    async def extend(self) -> Sequence[RunId]:
        return ()

    async def release(self, run: RunId) -> None:
        self._tokens.pop(run, None)
        self._released.add(run)

    async def reap(self) -> Sequence[RunId]:
        """Runs that have not ended and that this owner neither began nor acquired, or released."""
        unfinished = await self._journal.unfinished_runs()
        return [record.run for record in unfinished if not self._is_held(record.run, record.owner)]

    def _is_held(self, run: RunId, owner: str) -> bool:
        return run in self._tokens or (owner == self._owner and run not in self._released)
