"""What happened during a turn of the loop goes to the journal as one batch, and what has to be told waits for it."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial

from volant.decide.commands import RunFinished, Tell
from volant.engine.live_run import LiveRun
from volant.model.errors import JournalError
from volant.model.ids import ActionId, RunId
from volant.model.records import ActionRecord, AttemptRecord, Batch, Change, RunRecord, SpecRecord
from volant.ports.journal import Journal, Receipt

log = logging.getLogger("volant.engine")

_UNHURRIED = timedelta(milliseconds=25)
"""When changes that nobody waits for are committed at the latest."""

Listener = Callable[[RunId, Sequence[Change]], None]
Told = Tell | RunFinished


class Commits:
    """Collects live runs that have changed, and commits them at the end of the turn."""

    def __init__(
        self,
        journal: Journal,
        *,
        before: Callable[[], None],
        tell: Callable[[LiveRun, Told], None],
        on_committed: Listener,
        on_refused: Callable[[BaseException], None],
    ) -> None:
        """*before* is called at the end of a turn, and may change more; *tell* performs what waited for a commit."""
        self._journal = journal
        self._before = before
        self._tell = tell
        self._on_committed = on_committed
        self._on_refused = on_refused
        self._loop = asyncio.get_running_loop()
        self._changed: dict[RunId, LiveRun] = {}
        self._specs: list[SpecRecord] = []
        self._waiting: list[tuple[LiveRun, Told]] = []
        self._untold = 0
        self._is_turn_planned = False
        self._unhurried: asyncio.TimerHandle | None = None
        self._ends: dict[tuple[RunId, ActionId | None], asyncio.Future[None]] = {}
        """Resolved when the end of a run, or of one action of it, is committed."""
        self.is_over = False
        """It was closed, or the journal refuses: nothing is written any more."""

    def changed(self, live: LiveRun) -> None:
        """The run has, or may have, something to write."""
        self._changed[live.run] = live
        if not self._is_turn_planned:
            self._is_turn_planned = True
            self._loop.call_soon(self._end_turn)

    def add_spec(self, spec: SpecRecord) -> None:
        """A spec that rows will name."""
        self._specs.append(spec)

    def then(self, live: LiveRun, command: Told) -> None:
        """Perform *command* when what has changed until now is committed."""
        self._waiting.append((live, command))
        self._untold += 1

    @property
    def is_telling(self) -> bool:
        """Whether something waits for its commit to be told."""
        return self._untold > 0

    async def flush(self) -> None:
        """Return when everything that happened so far is committed.

        Raises:
            JournalError: it is not.
        """
        self._before()
        receipt = self._commit()
        await (receipt if receipt is not None else self._journal.commit(Batch()))

    async def until_ended(self, run: RunId, action: ActionId | None) -> None:
        """Return when the end of a live run, or of a live action of it, is committed.

        Raises:
            JournalError: it will not be.
        """
        if self.is_over:
            msg = f"the end of run '{run}' cannot be written"
            raise JournalError(msg)
        end = self._ends.get((run, action))
        if end is None:
            end = self._ends[run, action] = self._loop.create_future()
        await asyncio.shield(end)

    def run_ended(self, run: RunId) -> None:
        """The end of a run is committed."""
        self._resolve(run, None)

    def refuse(self, error: BaseException) -> None:
        """Nothing can be written any more; who waits is told."""
        if self.is_over:
            return
        self.is_over = True
        for end in self._ends.values():
            if not end.done():
                end.set_exception(JournalError(str(error)))
                # Whoever waits gets it; that perhaps nobody does is no news.
                end.exception()
        self._on_refused(error)

    async def close(self) -> None:
        """Write what has changed, and then nothing more."""
        receipt = self._commit()
        self.is_over = True
        if receipt is not None:
            # That it was refused is in the log; whatever else is to be closed must be all the same.
            with contextlib.suppress(JournalError):
                await receipt

    def _end_turn(self) -> None:
        self._is_turn_planned = False
        if self.is_over:
            return
        self._before()
        if self._waiting:
            self._commit()
        elif self._changed and self._unhurried is None:
            # Nobody waits for what changed. It goes along with the next commit that somebody waits for, and that
            # saves a transaction for every start and every exit of a process.
            self._unhurried = self._loop.call_later(_UNHURRIED.total_seconds(), self._commit)

    def _commit(self) -> Receipt | None:
        if self.is_over:
            return None
        batch, fed = self._drained()
        if self._unhurried is not None:
            self._unhurried.cancel()
            self._unhurried = None
        waiting, self._waiting = self._waiting, []
        if batch is None:
            self._perform(waiting)
            return None
        ended = [
            key
            for record in batch.actions
            if record.phase.is_final and (key := (record.run, record.action)) in self._ends
        ]
        receipt = self._journal.commit(batch)
        receipt.add_done_callback(partial(self._committed, fed, waiting, ended))
        return receipt

    def _drained(self) -> tuple[Batch | None, list[tuple[LiveRun, tuple[Change, ...]]]]:
        """All that has changed, and whose changes they are."""
        runs: list[RunRecord] = []
        actions: list[ActionRecord] = []
        attempts: list[AttemptRecord] = []
        changes: list[Change] = []
        fed: list[tuple[LiveRun, tuple[Change, ...]]] = []
        for live in self._changed.values():
            if not live.machine.has_changes:
                continue
            drained = live.machine.drain()
            if drained.run is not None:
                runs.append(drained.run)
            actions += drained.actions
            attempts += drained.attempts
            changes += drained.changes
            if drained.changes:
                fed.append((live, drained.changes))
        self._changed.clear()
        specs, self._specs = self._specs, []
        if not (runs or actions or attempts or changes or specs):
            return None, fed
        batch = Batch(
            runs=tuple(runs),
            actions=tuple(actions),
            attempts=tuple(attempts),
            changes=tuple(changes),
            specs=tuple(specs),
        )
        return batch, fed

    def _committed(
        self,
        fed: list[tuple[LiveRun, tuple[Change, ...]]],
        waiting: list[tuple[LiveRun, Told]],
        ended: list[tuple[RunId, ActionId]],
        receipt: Receipt,
    ) -> None:
        if receipt.error is not None:
            self.refuse(receipt.error)
            return
        for live, changes in fed:
            live.committed_seq = changes[-1].seq
        self._perform(waiting)
        for run, action in ended:
            self._resolve(run, action)
        for live, changes in fed:
            self._on_committed(live.run, changes)

    def _perform(self, waiting: list[tuple[LiveRun, Told]]) -> None:
        self._untold -= len(waiting)
        for live, command in waiting:
            self._tell(live, command)

    def _resolve(self, run: RunId, action: ActionId | None) -> None:
        end = self._ends.pop((run, action), None)
        if end is not None and not end.done():
            end.set_result(None)
