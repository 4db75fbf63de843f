"""The durable record of runs, actions and attempts."""

from collections.abc import Callable, Generator, Sequence
from datetime import datetime
from typing import Any, Protocol

import msgspec

from volant.model.errors import JournalError
from volant.model.ids import ActionId, RunId, SpecDigest
from volant.model.phases import ActionPhase
from volant.model.records import ActionRecord, AttemptRecord, Batch, Change, RunRecord, SpecRecord


class RunFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs to list; every field given must match."""

    phases: tuple[ActionPhase, ...] = ()
    task: str | None = None
    labels: tuple[tuple[str, str], ...] = ()
    since: datetime | None = None
    """Created at or after."""
    before: RunId | None = None
    """Older than this run, for paging."""
    limit: int = 100


class Receipt(Protocol):
    """What `commit` gives: an awaitable that several may await; cancelling one of them does not touch the commit."""

    @property
    def error(self) -> JournalError | None:
        """Why the batch was refused; None while it is under way and once it is durable."""
        ...

    def add_done_callback(self, callback: Callable[[Any], object], /) -> None:
        """Call *callback* with this receipt, from the loop, once the batch is durable or refused. In the order of
        the batches."""
        ...

    def __await__(self) -> Generator[Any, None, None]: ...


class Journal(Protocol):
    """State rows for runs, actions and attempts, and one change feed per run.

    Every adapter keeps these promises; `volant.testing.journal.JournalConformance` checks them:

    - *Atomic*: of a batch all is stored or nothing.
    - *Durable*: once the awaitable of `commit` is done, the batch survives a crash of the process and the machine.
    - *Ordered*: batches are stored in the order of the calls. After a crash a prefix of them is there.
    - *Grouped*: batches given while a commit is under way go into the next one together; nothing waits for a delay.
    - *Whole rows*: a row given again replaces the stored one. Changes are only ever appended.
    - *Gap-free*: `changes` of a run are 1, 2, 3, ...; a batch whose changes do not follow the stored ones is refused.
    - *Read your commits*: a read started after a commit was done sees it. Reads never wait for a commit.
    """

    def commit(self, batch: Batch) -> Receipt:
        """Store *batch*; the receipt is done when it is durable. Calling queues it at once, awaiting is optional.

        Raises:
            JournalError: nothing of this batch was stored, nor of any batch given after it; the journal
                refuses further commits until it is opened again (a full or read-only disk, a lost database).
            BatchRefusedError: nothing of this batch was stored, for what is in it: it breaks *Gap-free*, or holds a
                value that cannot be stored, or a row of a run that this owner may not write. The journal goes on.
        """
        ...

    async def run(self, run: RunId) -> RunRecord | None:
        """The run of this name, or None."""
        ...

    async def runs(self, where: RunFilter) -> Sequence[RunRecord]:
        """Runs, newest first (created_at, then name)."""
        ...

    async def unfinished_runs(self) -> Sequence[RunRecord]:
        """Runs whose phase is not final, oldest first."""
        ...

    async def matching_runs(self, prefix: str, *, limit: int = 10) -> Sequence[RunId]:
        """Names that start with *prefix*, newest first."""
        ...

    async def action(self, run: RunId, action: ActionId) -> ActionRecord | None:
        """One action, or None."""
        ...

    async def actions_named(self, run: RunId, actions: Sequence[ActionId]) -> Sequence[ActionRecord]:
        """Those of these actions that there are, in any order."""
        ...

    async def matching_actions(self, run: RunId, prefix: str, *, limit: int = 10) -> Sequence[ActionId]:
        """Ids of a run's actions that start with *prefix*, in their order as text; none for what is no hex."""
        ...

    async def actions(
        self,
        run: RunId,
        *,
        parent: ActionId | None = None,
        phases: Sequence[ActionPhase] = (),
        after: int = 0,
        limit: int = 1000,
    ) -> Sequence[tuple[int, ActionRecord]]:
        """Actions in the order of their creation, each with its position, from the first position greater than *after*.

        *parent* restricts to its children; *phases* to these phases.
        """
        ...

    async def count_actions(self, run: RunId) -> dict[ActionPhase, int]:
        """How many actions stand in each phase; phases without actions are absent."""
        ...

    async def attempts(self, run: RunId, action: ActionId) -> Sequence[AttemptRecord]:
        """Attempts of one action, by number."""
        ...

    async def changes(self, run: RunId, *, after: int = 0, limit: int = 1000) -> Sequence[Change]:
        """Entries of the feed with `seq > after`, in order."""
        ...

    async def last_seq(self, run: RunId) -> int:
        """Place of the newest change of a run; 0 when it has none."""
        ...

    async def spec(self, spec: SpecDigest) -> SpecRecord | None:
        """The body of a spec, or None."""
        ...

    async def specs(self, *, limit: int = 1000) -> Sequence[SpecRecord]:
        """Specs, the one that was used last first."""
        ...

    async def delete_run(self, run: RunId) -> bool:
        """Forget a run and all that belongs to it; whether it was there. Durable when it returns."""
        ...

    async def close(self) -> None:
        """Finish what was given to `commit`, then let go of the store."""
        ...
