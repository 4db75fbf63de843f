"""Taking over outcomes from a run that has ended: calls of the new run are looked up there before they get a place."""

import asyncio
from collections.abc import Callable, Sequence
from typing import ParamSpec, Protocol

import msgspec

from volant.decide.commands import Command
from volant.decide.reusing import Choice, order_of
from volant.engine.live_run import LiveRun
from volant.kit.clock import Clock
from volant.model.ids import ActionId, SpecDigest
from volant.model.records import ActionRecord
from volant.model.reusing import Reuse
from volant.model.specs import ActionKind, ActionSpec
from volant.ports.journal import Journal

P = ParamSpec("P")
_decode_spec = msgspec.msgpack.Decoder(ActionSpec).decode

_AT_ONCE = 200
"""Calls that are looked up together."""
_MOST_BRANCHES = 4096
"""Parents of which is remembered whether outcomes below them are taken over."""


class Decide(Protocol):
    """Lets the rules of a run decide, and does what follows."""

    def __call__(
        self, live: LiveRun, rule: Callable[P, Sequence[Command]], *args: P.args, **kwargs: P.kwargs
    ) -> None: ...


class Recovery:
    """Answers what one live run looks up, in the order of the recorded outcomes among calls that were made together."""

    def __init__(
        self,
        live: LiveRun,
        reuse: Reuse,
        journal: Journal,
        clock: Clock,
        *,
        decide: Decide,
        warn: Callable[[LiveRun, str], None],
        on_failed: Callable[[BaseException], None],
    ) -> None:
        """*decide* lets a run's rules decide and acts on it; *on_failed* hears that the journal cannot be read."""
        self._live = live
        self._reuse = reuse
        self._choice = Choice(reuse)
        self._journal = journal
        self._clock = clock
        self._decide = decide
        self._warn = warn
        self._on_failed = on_failed
        self._asked: list[ActionId] = []
        self._branches: dict[ActionId, bool] = {}
        self._specs: dict[SpecDigest, ActionSpec] = {}
        """Of steps."""
        self._task: asyncio.Task[None] | None = None

    def look_up(self, action: ActionId) -> None:
        """Tell the rules what is recorded of this call, or that nothing is that may be taken over."""
        self._asked.append(action)
        if self._task is None:
            self._begin()

    def stop(self) -> None:
        """Look up nothing more, and answer nothing."""
        if self._task is not None:
            self._task.cancel()

    async def close(self) -> None:
        """As `stop`; nothing of it is left when this returns."""
        self.stop()
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._task = None
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_failed(error)
        elif self._asked and not task.cancelled():
            # Asked for since it found nothing left to do.
            self._begin()

    def _begin(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._answer())
        self._task.add_done_callback(self._done)

    async def _answer(self) -> None:
        while self._asked:
            actions = self._asked[:_AT_ONCE]
            del self._asked[:_AT_ONCE]
            found = await self._taken(actions)
            machine, now = self._live.machine, self._clock.now()
            for record in sorted(found.values(), key=order_of):
                spec = await self._spec_of_step(record)
                self._decide(self._live, machine.looked_up, record.action, record, now, spec=spec)
            for action in actions:
                if action not in found:
                    self._decide(self._live, machine.looked_up, action, None, now)
            # Whoever has thousands of calls answered lets others have their turn.
            await asyncio.sleep(0)

    async def _taken(self, actions: Sequence[ActionId]) -> dict[ActionId, ActionRecord]:
        run = await self._journal.run(self._reuse.run)
        if run is None or run.created_at != self._reuse.created_at:
            self._warn(
                self._live,
                f"run '{self._reuse.run}' was deleted: what this run had not taken over from it is executed again",
            )
            return {}
        records = await self._journal.actions_named(run.run, actions)
        return {record.action: record for record in records if await self._is_taken(record)}

    async def _spec_of_step(self, record: ActionRecord) -> ActionSpec | None:
        """What a worker would have said of a step if it had executed it."""
        if record.kind is not ActionKind.STEP:
            return None
        spec = self._specs.get(record.spec)
        if spec is None and (found := await self._journal.spec(record.spec)) is not None:
            spec = self._specs[record.spec] = _decode_spec(found.body)
        return spec

    async def _is_taken(self, record: ActionRecord) -> bool:
        if not self._choice.takes(record) or not await self._is_on_branch(record):
            return False
        if record.inputs_digest is None:
            what = "traced function" if record.kind is ActionKind.STEP else "task"
            self._warn(
                self._live,
                f"{what} '{record.task}' is executed again: its inputs have no stable digest, so nobody can tell "
                f"whether they equal those of run '{record.run}'",
            )
            return False
        return True

    async def _is_on_branch(self, record: ActionRecord) -> bool:
        """Whether outcomes on its branch are taken over; what has been found out about its parents is remembered."""
        above: list[ActionId] = []
        verdict = self._choice.takes_branch(record)
        while verdict is None and record.parent is not None:
            verdict = self._branches.get(record.parent)
            if verdict is None:
                above.append(record.parent)
                parent = await self._journal.action(record.run, record.parent)
                if parent is None:
                    return False
                record, verdict = parent, self._choice.takes_branch(parent)
        found = bool(verdict)
        if len(self._branches) + len(above) > _MOST_BRANCHES:
            self._branches.clear()
        self._branches.update(dict.fromkeys(above, found))
        return found
