"""Leases on the runs of a shared database, on its clock."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from volant.journal.holdings import Holdings
from volant.journal.postgres.connecting import Connections
from volant.journal.postgres.opening import STATEMENTS
from volant.journal.rows import Row
from volant.model.errors import RunNotFoundError
from volant.model.ids import RunId
from volant.ports.leases import Lease, OwnedElsewhere


class PostgresLeases:
    """The `Leases` of one journal's owner; its writer heeds them."""

    def __init__(
        self, connections: Connections, holdings: Holdings, *, dead: Sequence[str], duration: timedelta
    ) -> None:
        """Leases of *dead* owners count as having run out."""
        self._connections = connections
        self._holdings = holdings
        self._dead = list(dead)
        self._duration = duration

    @property
    def owner(self) -> str:
        return self._holdings.owner

    @property
    def duration(self) -> timedelta:
        return self._duration

    async def acquire(self, run: RunId) -> Lease | OwnedElsewhere:
        held = self._holdings.held.get(run)
        if held is not None and run not in await self._extend({run: held}):
            return Lease(run=run, owner=self.owner, token=held)
        while True:
            rows = await self._ask("acquire", {"run": run})
            if rows:
                ((token,),) = rows
                self._holdings.acquired(run, token)
                return Lease(run=run, owner=self.owner, token=token)
            owners = await self._ask("owner", {"run": run})
            if not owners:
                raise RunNotFoundError(f"run {run!r} is not in the journal, so nobody can own it")
            ((owner, remaining),) = owners
            if remaining > timedelta(0):
                return OwnedElsewhere(run=run, owner=owner, remaining=remaining)

    async def extend(self) -> Sequence[RunId]:
        lost = await self._extend(dict(self._holdings.held))
        for run in lost:
            self._holdings.parted(run)
        return lost

    async def release(self, run: RunId) -> None:
        token = self._holdings.held.get(run)
        if token is None:
            return
        self._holdings.parted(run)
        await self._ask("give_back", {"runs": [run], "tokens": [token]})

    async def reap(self) -> Sequence[RunId]:
        return [RunId(run) for (run,) in await self._ask("orphaned", {})]

    async def _extend(self, tokens: dict[RunId, int]) -> list[RunId]:
        if not tokens:
            return []
        rows = await self._ask("extend", {"runs": list(tokens), "tokens": list(tokens.values())})
        extended = {run for (run,) in rows}
        # One that ended meanwhile was not lost.
        return [run for run, token in tokens.items() if run not in extended and self._holdings.held.get(run) == token]

    async def _ask(self, statement: str, parameters: dict[str, Any]) -> list[Row]:
        given = {**parameters, "owner": self.owner, "dead": self._dead, "duration": self._duration}
        return await self._connections.ask(STATEMENTS[statement], given)
