"""Reading a whole journal to see whether every row says what it should."""

from collections.abc import AsyncIterator, Sequence

import msgspec

from volant.model.errors import JournalError
from volant.model.ids import RunId, SpecDigest
from volant.model.records import ActionRecord, RunRecord
from volant.ports.journal import Journal, RunFilter
from volant.ports.maintenance import Checked

_PAGE = 1000
_MOST_PROBLEMS = 100
_UNREADABLE = (JournalError, msgspec.MsgspecError, ValueError, KeyError, TypeError, AttributeError)
"""What a row that is not one of ours makes of reading it."""


class Checker:
    """Goes through all runs, newest first."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._problems: list[str] = []
        self._specs: set[SpecDigest] = set()
        self._runs = self._actions = self._changes = 0

    async def check(self, problems: Sequence[str] = ()) -> Checked:
        """All that was found, after the *problems* that are known already. What is written meanwhile may be missed."""
        self._problems += problems
        async for run in self._all_runs():
            self._runs += 1
            try:
                await self._check_run(run)
            except _UNREADABLE as error:
                self._say(f"run {run.run!r}: a row of it cannot be read: {type(error).__name__}: {error}")
        left = len(self._problems) - _MOST_PROBLEMS
        told = [*self._problems[:_MOST_PROBLEMS], *([f"and {left} more"] if left > 0 else [])]
        return Checked(runs=self._runs, actions=self._actions, changes=self._changes, problems=tuple(told))

    async def _all_runs(self) -> AsyncIterator[RunRecord]:
        before: RunId | None = None
        while True:
            try:
                page = await self._journal.runs(RunFilter(before=before, limit=_PAGE))
            except _UNREADABLE as error:
                self._say(f"the runs older than {before!r} cannot be read: {type(error).__name__}: {error}")
                return
            for run in page:
                yield run
            if len(page) < _PAGE:
                return
            before = page[-1].run

    async def _check_run(self, run: RunRecord) -> None:
        # Actions first: what is written meanwhile has its change by then.
        actions = [action async for action in self._all_actions(run.run)]
        last = await self._check_changes(run.run)
        if not any(action.action == run.root for action in actions):
            self._say(f"run {run.run!r}: its root action {run.root} is not there")
        ids = {action.action for action in actions}
        for action in actions:
            where = f"run {run.run!r}: action {action.action}"
            if action.parent is not None and action.parent not in ids:
                self._say(f"{where}: its parent {action.parent} is not there")
            if action.outcome_seq is not None and action.outcome_seq > last:
                self._say(f"{where}: its outcome is change {action.outcome_seq}, the feed ends at {last}")
            if run.phase.is_final and not action.phase.is_final:
                self._say(f"{where}: it is {action.phase}, the run has ended")
            await self._check_spec(action, where)
            if action.attempts:
                await self._check_attempts(action, where)

    async def _all_actions(self, run: RunId) -> AsyncIterator[ActionRecord]:
        position = 0
        while page := await self._journal.actions(run, after=position, limit=_PAGE):
            for place, action in page:
                if place != position + 1:
                    self._say(f"run {run!r}: after action {position} comes action {place}")
                position = place
                self._actions += 1
                yield action

    async def _check_changes(self, run: RunId) -> int:
        seq = 0
        while page := await self._journal.changes(run, after=seq, limit=_PAGE):
            for change in page:
                if change.seq != seq + 1:
                    self._say(f"run {run!r}: after change {seq} comes change {change.seq}")
                seq = change.seq
                self._changes += 1
        return seq

    async def _check_spec(self, action: ActionRecord, where: str) -> None:
        if action.spec in self._specs:
            return
        if await self._journal.spec(action.spec) is None:
            self._say(f"{where}: its spec {action.spec} is not there")
        self._specs.add(action.spec)

    async def _check_attempts(self, action: ActionRecord, where: str) -> None:
        attempts = await self._journal.attempts(action.run, action.action)
        if len(attempts) > action.attempts:
            self._say(f"{where}: it has {len(attempts)} attempts, its row says {action.attempts}")

    def _say(self, problem: str) -> None:
        self._problems.append(problem)


def differences(kind: str, found: dict[str, str], wanted: dict[str, str]) -> list[str]:
    """What a schema lacks, has too much, or has otherwise, by name."""
    missing = [f"{kind} {name} is missing" for name in wanted if name not in found]
    other = [
        f"{kind} {name} is {found[name]}, wanted {wanted[name]}" for name in wanted if _differs(name, found, wanted)
    ]
    return [*missing, *other, *(f"{kind} {name} is not of this release" for name in found if name not in wanted)]


def _differs(name: str, found: dict[str, str], wanted: dict[str, str]) -> bool:
    return name in found and found[name] != wanted[name]
