"""In what order a parent that is executed again gets its recorded outcomes.

The order of their commits, so that a race has the same winner again. The parent asks in any order and
perhaps not for all of them. An outcome may be told at once when every earlier one was told; otherwise
the parent might still ask for an earlier one, and so nothing is told until it waits. Then it gets the
earliest it has asked for, and with it all that follow without a gap.
"""

from collections.abc import Iterable

from volant.model.ids import ActionId, CallId


class Replay:
    """The recorded outcomes of one parent's children, and which of them it has asked for."""

    def __init__(self, recorded: Iterable[ActionId]) -> None:
        """*recorded*: children whose outcome may be replayed, in the order of their commits."""
        self._order = list(recorded)
        self._position = {action: n for n, action in enumerate(self._order)}
        self._asked: dict[int, list[CallId]] = {}
        self._next = 0

    def knows(self, action: ActionId) -> bool:
        """Whether the outcome of *action* is recorded and was not told yet."""
        return action in self._position

    @property
    def is_done(self) -> bool:
        """Whether every recorded outcome was told."""
        return not self._position

    def ask(self, action: ActionId, call: CallId) -> None:
        """The parent called *action*; its outcome will be among those of a later `tell` or `waiting`."""
        self._asked.setdefault(self._position[action], []).append(call)

    def forget(self, call: CallId) -> ActionId | None:
        """The parent cancelled this call; the action it was for, if it was asked for here."""
        for position, calls in self._asked.items():
            if call in calls:
                calls.remove(call)
                if not calls:
                    del self._asked[position]
                return self._order[position]
        return None

    def ready(self) -> list[tuple[ActionId, CallId]]:
        """What may be told now: all that was asked for before the first gap."""
        told: list[tuple[ActionId, CallId]] = []
        while self._next < len(self._order):
            action = self._order[self._next]
            if action in self._position:
                calls = self._asked.pop(self._next, None)
                if calls is None:
                    break
                del self._position[action]
                told += [(action, call) for call in calls]
            self._next += 1
        return told

    def waiting(self) -> list[tuple[ActionId, CallId]]:
        """The parent waits: tell the earliest it has asked for, though earlier ones exist, and what follows at once."""
        if told := self.ready():
            return told
        if not self._asked:
            return []
        position = min(self._asked)
        action = self._order[position]
        calls = self._asked.pop(position)
        del self._position[action]
        told = [(action, call) for call in calls]
        following = position + 1
        while following < len(self._order) and following in self._asked:
            action = self._order[following]
            told += [(action, call) for call in self._asked.pop(following)]
            del self._position[action]
            following += 1
        return told
