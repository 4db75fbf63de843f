"""What happened during a turn of the loop goes to the journal, and what has to be told waits for it.

Each run has a batch of its own, so that one that may not be written here any more harms no other; the journal stores
them together.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial

from volant.decide.commands import Accept, RunFinished, Tell
from volant.decide.unwritten import Drained
from volant.engine.live_run import LiveRun
from volant.model.errors import BatchRefusedError, JournalError
from volant.model.ids import ActionId, RunId
from volant.model.records import Batch, Change, SpecRecord
from volant.ports.journal import Journal, Receipt

log = logging.getLogger("volant.engine")

_UNHURRIED = timedelta(milliseconds=25)
"""When changes that nobody waits for are committed at the latest."""

Listener = Callable[[RunId, Sequence[Change]], None]
Told = Tell | RunFinished | Accept


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
        on_run_refused: Callable[[RunId, JournalError], None],
        on_broken: Callable[[LiveRun, Exception], None],
    ) -> None:
        """*before* is called at the end of a turn, and may change more; *tell* performs what waited for a commit.
        *on_refused* hears that nothing is written any more, *on_run_refused* that nothing of one run is, *on_broken*
        that the rows of a run could not be made."""
        self._journal = journal
        self._before = before
        self._tell = tell
        self._on_committed = on_committed
        self._on_refused = on_refused
        self._on_run_refused = on_run_refused
        self._on_broken = on_broken
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
        """The run has, or may have, something to write. What changes in one that was given up is not written."""
        if not live.is_given_up:
            self._changed[live.run] = live
        if not self._is_turn_planned:
            self._is_turn_planned = True
            self._loop.call_soon(self._end_turn)

    def add_spec(self, spec: SpecRecord) -> None:
        """A spec that rows will name."""
        self._specs.append(spec)

    def then(self, live: LiveRun, command: Told) -> None:
        """Perform *command* when what has changed until now is committed."""
        if live.is_given_up:
            return
        self._waiting.append((live, command))
        self._untold += 1

    def drop(self, live: LiveRun) -> None:
        """Write and tell nothing of what a run has not given yet."""
        self._changed.pop(live.run, None)
        kept = [each for each in self._waiting if each[0] is not live]
        self._untold -= len(self._waiting) - len(kept)
        self._waiting = kept

    @property
    def is_telling(self) -> bool:
        """Whether something waits for its commit to be told."""
        return self._untold > 0

    async def flush(self, live: LiveRun | None = None) -> None:
        """Return when everything that happened so far is committed. That a run was refused is told of *live* only.

        Raises:
            JournalError: it is not.
        """
        self._before()
        for each, receipt in self._commit() or [(None, self._journal.commit(Batch()))]:
            try:
                await receipt
            except BatchRefusedError:
                if each is live:
                    raise

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
        for ended, action in [key for key in self._ends if key[0] == run]:
            self._resolve(ended, action)

    def give_up(self, run: RunId, error: JournalError) -> None:
        """Nothing of a run is written any more; who waits for an end in it is told."""
        self._changed.pop(run, None)
        for key in [key for key in self._ends if key[0] == run]:
            self._reject(self._ends.pop(key), error)

    def refuse(self, error: BaseException) -> None:
        """Nothing can be written any more; who waits is told."""
        if self.is_over:
            return
        self.is_over = True
        for end in self._ends.values():
            self._reject(end, JournalError(str(error)))
        self._on_refused(error)

    async def close(self) -> None:
        """Write what has changed, and then nothing more."""
        given = self._commit()
        self.is_over = True
        for _, receipt in given:
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

    def _commit(self) -> list[tuple[LiveRun | None, Receipt]]:
        """Give all that has changed to the journal: the receipts, with whose they are."""
        if self.is_over:
            return []
        if self._unhurried is not None:
            self._unhurried.cancel()
            self._unhurried = None
        waiting: dict[RunId, list[tuple[LiveRun, Told]]] = {}
        for live, command in self._waiting:
            waiting.setdefault(live.run, []).append((live, command))
        self._waiting = []
        given: list[tuple[LiveRun | None, Receipt]] = []
        if self._specs:
            specs, self._specs = tuple(self._specs), []
            given.append((None, self._give(Batch(specs=specs), partial(self._committed, None, (), [], []))))
        changed, self._changed = self._changed, {}
        for live in changed.values():
            if live.is_broken or not live.machine.has_changes:
                continue
            told = waiting.pop(live.run, [])
            try:
                drained = live.machine.drain()
            except Exception as error:  # noqa: BLE001  # recorded by whoever hears it
                self._untold -= len(told)
                self._on_broken(live, error)
                continue
            given.append((live, self._give_run(live, drained, told)))
        rest = [each for several in waiting.values() for each in several]
        if given and rest:
            given[-1][1].add_done_callback(partial(self._told_after, rest))
        else:
            self._perform(rest)
        return given

    def _give_run(self, live: LiveRun, drained: Drained, waiting: list[tuple[LiveRun, Told]]) -> Receipt:
        batch = Batch(
            runs=() if drained.run is None else (drained.run,),
            actions=tuple(drained.actions),
            attempts=tuple(drained.attempts),
            changes=tuple(drained.changes),
        )
        ended = [
            key
            for record in batch.actions
            if record.phase.is_final and (key := (record.run, record.action)) in self._ends
        ]
        return self._give(batch, partial(self._committed, live, batch.changes, waiting, ended))

    def _give(self, batch: Batch, done: Callable[[Receipt], None]) -> Receipt:
        receipt = self._journal.commit(batch)
        receipt.add_done_callback(done)
        return receipt

    def _committed(
        self,
        live: LiveRun | None,
        changes: tuple[Change, ...],
        waiting: list[tuple[LiveRun, Told]],
        ended: list[tuple[RunId, ActionId]],
        receipt: Receipt,
    ) -> None:
        error = receipt.error
        if error is not None:
            self._untold -= len(waiting)
            if live is not None and isinstance(error, BatchRefusedError):
                if not live.is_given_up:
                    self._on_run_refused(live.run, error)
            else:
                self.refuse(error)
            return
        if live is not None and changes:
            live.committed_seq = changes[-1].seq
        self._perform(waiting)
        for run, action in ended:
            self._resolve(run, action)
        if live is not None and changes:
            self._on_committed(live.run, changes)

    def _told_after(self, waiting: list[tuple[LiveRun, Told]], receipt: Receipt) -> None:
        # The commit of another run: that it alone was refused is nothing to this one.
        if receipt.error is None or isinstance(receipt.error, BatchRefusedError):
            self._perform(waiting)
        else:
            self._untold -= len(waiting)

    def _perform(self, waiting: list[tuple[LiveRun, Told]]) -> None:
        self._untold -= len(waiting)
        for live, command in waiting:
            if not live.is_given_up:
                self._tell(live, command)

    def _resolve(self, run: RunId, action: ActionId | None) -> None:
        end = self._ends.pop((run, action), None)
        if end is not None and not end.done():
            end.set_result(None)

    @staticmethod
    def _reject(end: "asyncio.Future[None]", error: JournalError) -> None:
        if not end.done():
            end.set_exception(error)
            # Whoever waits gets it; that perhaps nobody does is no news.
            end.exception()
