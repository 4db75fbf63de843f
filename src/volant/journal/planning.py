"""What one transaction has to write: the batches of a group, checked, coalesced and keyed.

Batches are state rows; of several rows for one thing in one group only the last is worth writing. Before that
each batch is checked by itself, so that a wrong one is refused alone. Both need to know, per run, how far its
change feed has come and which actions it has. Runs and actions are keyed by integers: a run by its number, an
action by the run's number and its position in it. So rows that are written together lie together, which halves
the pages a commit has to write compared with rows keyed by random ids.

Nothing here knows a database: an adapter brings a `Lookup` and writes what a `Plan` holds.
"""

from typing import Protocol

import msgspec

from volant.model.errors import BatchRefusedError
from volant.model.ids import ActionId, RunId, SpecDigest
from volant.model.records import ActionRecord, AttemptRecord, Batch, Change, RunRecord, SpecRecord

_POSITION_BITS = 32
LAST_POSITION = (1 << _POSITION_BITS) - 1
"""No position and no `seq` is greater."""


def key(number: int, position: int) -> int:
    """The key of an action or a change of run *number*; keys of one run are a range, in the order of positions."""
    return number << _POSITION_BITS | position


def position(key: int) -> int:
    """The position, or `seq`, that a key holds."""
    return key & LAST_POSITION


class Head(msgspec.Struct):
    """How far a run has come."""

    number: int
    seq: int = 0
    """Of the newest change."""
    position: int = 0
    """Of the newest action."""
    places: dict[ActionId, int] = {}
    """Positions of actions that have not ended. Those that have are looked up: memory follows what is live."""


class Lookup(Protocol):
    """What the database holds already."""

    def head(self, run: RunId) -> Head | None:
        """A stored run, without places; None when it is not there."""
        ...

    def place(self, number: int, action: ActionId) -> int | None:
        """The position of a stored action."""
        ...


class Heads(dict[RunId, Head]):
    """The runs that are being written, from one group to the next. What is not here is looked up."""

    def __init__(self, *, last_number: int) -> None:
        super().__init__()
        self._last_number = last_number

    def open(self, run: RunId) -> Head:
        """A head for a run that is not stored; numbers are not used twice."""
        self._last_number += 1
        head = self[run] = Head(number=self._last_number)
        return head


class Plan:
    """The rows of one transaction. `add` batches in their order, write the fields, then `settle`."""

    def __init__(self, heads: Heads, lookup: Lookup) -> None:
        self._heads = heads
        self._lookup = lookup
        self._borrowed: list[tuple[Head, ActionId]] = []
        self.specs: dict[SpecDigest, SpecRecord] = {}
        self.runs: dict[int, RunRecord] = {}
        """By number."""
        self.new_actions: dict[int, ActionRecord] = {}
        """By key, in the order of creation."""
        self.changed_actions: dict[int, ActionRecord] = {}
        self.attempts: dict[tuple[int, int], AttemptRecord] = {}
        """By key of the action and number."""
        self.changes: list[tuple[int, Change]] = []
        """With their keys."""

    def add(self, batch: Batch) -> None:
        """Take in one batch.

        Raises:
            BatchRefusedError: it does not fit what is stored; nothing of it is in the plan.
        """
        self._check(batch)
        heads = self._heads
        for spec in batch.specs:
            self.specs[spec.spec] = spec
        for run in batch.runs:
            head = heads.get(run.run) or heads.open(run.run)
            self.runs[head.number] = run
        for action in batch.actions:
            self._add_action(heads[action.run], action)
        for attempt in batch.attempts:
            head = heads[attempt.run]
            self.attempts[key(head.number, head.places[attempt.action]), attempt.attempt] = attempt
        for change in batch.changes:
            head = heads[change.run]
            head.seq = change.seq
            self.changes.append((key(head.number, change.seq), change))

    def settle(self) -> None:
        """Let go of what has ended."""
        for actions in (self.new_actions, self.changed_actions):
            for action in actions.values():
                if action.phase.is_final:
                    self._heads[action.run].places.pop(action.action, None)
        for head, borrowed in self._borrowed:
            head.places.pop(borrowed, None)
        for run in self.runs.values():
            if run.phase.is_final:
                self._heads.pop(run.run, None)

    def _add_action(self, head: Head, action: ActionRecord) -> None:
        place = head.places.get(action.action)
        if place is None:
            place = head.position = head.position + 1
            head.places[action.action] = place
            self.new_actions[key(head.number, place)] = action
            return
        at = key(head.number, place)
        rows = self.new_actions if at in self.new_actions else self.changed_actions
        rows[at] = action

    def _check(self, batch: Batch) -> None:
        opened = {run.run for run in batch.runs if self._find(run.run) is None}
        created: set[tuple[RunId, ActionId]] = set()
        for action in batch.actions:
            head = self._find(action.run)
            if head is not None:
                if action.action not in head.places:
                    self._place(head, action.action)
            elif action.run not in opened:
                raise BatchRefusedError(f"run {action.run!r}: an action was given, the run is not in the journal")
            if batch.attempts:
                created.add((action.run, action.action))
        for attempt in batch.attempts:
            if (attempt.run, attempt.action) not in created:
                self._check_attempt(attempt)
        self._check_changes(batch, opened)

    def _check_attempt(self, attempt: AttemptRecord) -> None:
        head = self._find(attempt.run)
        if head is None:
            raise BatchRefusedError(f"run {attempt.run!r}: an attempt was given, the run is not in the journal")
        if self._place(head, attempt.action, borrow=True) is None:
            raise BatchRefusedError(
                f"action {attempt.action!r} of run {attempt.run!r}: attempt {attempt.attempt} was given, "
                "the action is not in the journal"
            )

    def _check_changes(self, batch: Batch, opened: set[RunId]) -> None:
        wanted: dict[RunId, int] = {}
        for change in batch.changes:
            want = wanted.get(change.run)
            if want is None:
                head = self._find(change.run)
                if head is None and change.run not in opened:
                    raise BatchRefusedError(f"run {change.run!r}: a change was given, the run is not in the journal")
                want = 1 if head is None else head.seq + 1
            if change.seq != want:
                raise BatchRefusedError(f"run {change.run!r}: change {change.seq} was given, change {want} is next")
            wanted[change.run] = want + 1

    def _place(self, head: Head, action: ActionId, *, borrow: bool = False) -> int | None:
        place = head.places.get(action)
        if place is None and head.position and (place := self._lookup.place(head.number, action)) is not None:
            head.places[action] = place
            if borrow:
                self._borrowed.append((head, action))
        return place

    def _find(self, run: RunId) -> Head | None:
        head = self._heads.get(run)
        if head is None:
            head = self._lookup.head(run)
            if head is not None:
                self._heads[run] = head
        return head
