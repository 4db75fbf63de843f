"""In what order a parent that is executed again gets its recorded outcomes.

The order of their commits, so that a race has the same winner again. The parent asks in any order and
perhaps not for all of them. An outcome may be told at once when every earlier one was told; otherwise
the parent might still ask for an earlier one, and so nothing is told until it waits. Then it gets the
earliest it has asked for, and with it all that follow without a gap.
"""

import heapq
from collections import OrderedDict
from collections.abc import Iterable

from volant.model.ids import ActionId, CallId


class Replay:
    """The recorded outcomes of one parent's children that it was not told yet, and which of them it has asked for."""

    def __init__(self, recorded: Iterable[ActionId] = ()) -> None:
        """*recorded*: children whose outcome may be replayed, in the order of their commits."""
        self._order: OrderedDict[int, ActionId] = OrderedDict()
        self._position: dict[ActionId, int] = {}
        self._asked: dict[int, list[CallId]] = {}
        self._calls: dict[CallId, int] = {}
        self._earliest: list[int] = []
        """A heap of positions that were asked for; some of them were told since."""
        self._count = 0
        for action in recorded:
            self.add(action)

    def add(self, action: ActionId) -> None:
        """One more outcome, committed after all that are known."""
        self._order[self._count] = action
        self._position[action] = self._count
        self._count += 1

    @property
    def untold(self) -> list[ActionId]:
        """Actions whose outcome was not told, in the order of their commits."""
        return list(self._order.values())

    def knows(self, action: ActionId) -> bool:
        """Whether the outcome of *action* is recorded and was not told yet."""
        return action in self._position

    @property
    def is_done(self) -> bool:
        """Whether every recorded outcome was told."""
        return not self._position

    @property
    def is_asked(self) -> bool:
        """Whether an outcome that was asked for was not told."""
        return bool(self._asked)

    def ask(self, action: ActionId, call: CallId) -> None:
        """The parent called *action*; its outcome will be among those of a later `ready` or `waiting`."""
        position = self._position[action]
        if position not in self._asked:
            self._asked[position] = []
            heapq.heappush(self._earliest, position)
        self._asked[position].append(call)
        self._calls[call] = position

    def forget(self, call: CallId) -> ActionId | None:
        """The parent cancelled this call, and is told at once; the action it was for, if it was asked for here."""
        position = self._calls.pop(call, None)
        if position is None:
            return None
        action = self._order[position]
        self._asked[position].remove(call)
        if not self._asked[position]:
            self._tell(position)
        return action

    def ready(self) -> list[tuple[ActionId, CallId]]:
        """What may be told now: all that was asked for before the first gap."""
        told: list[tuple[ActionId, CallId]] = []
        while self._order:
            first = next(iter(self._order))
            if first not in self._asked:
                break
            told += self._tell(first)
        return told

    def waiting(self) -> list[tuple[ActionId, CallId]]:
        """The parent waits: tell the earliest it has asked for, though earlier ones exist, and what follows at once."""
        if told := self.ready():
            return told
        while self._earliest and self._earliest[0] not in self._asked:
            heapq.heappop(self._earliest)
        if not self._earliest:
            return []
        position = self._earliest[0]
        while position in self._asked:
            told += self._tell(position)
            position += 1
        return told

    def _tell(self, position: int) -> list[tuple[ActionId, CallId]]:
        action = self._order.pop(position)
        del self._position[action]
        calls = self._asked.pop(position)
        for call in calls:
            del self._calls[call]
        return [(action, call) for call in calls]
