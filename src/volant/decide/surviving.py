"""Attempts that outlived the engine that started them.

The journal may know such an attempt as running, or know its action only, or nothing: an engine starts an attempt
without waiting for the commit that says so. One that the journal does not know is kept until its action wants its next
attempt, which it then already is: at once when the action is restored, or when its parent, adopted or executed again,
asks for the action.
"""

from collections.abc import Iterable

import msgspec

from volant.decide.live import Earlier
from volant.model.ids import ActionId, AttemptKey


class Survivor(msgspec.Struct, frozen=True, kw_only=True):
    """One of them. Its process may have ended meanwhile; how, is told when it was adopted or ended."""

    key: AttemptKey
    action: ActionId
    attempt: int
    children: tuple[Earlier, ...] = ()
    """What its action had called and has ended, by this attempt or an earlier one."""


class Survivors:
    """Those of one run that nobody has claimed."""

    def __init__(self, survivors: Iterable[Survivor] = ()) -> None:
        self._found = {(survivor.action, survivor.attempt): survivor for survivor in survivors}
        self._dismissed: set[AttemptKey] = set()

    def __bool__(self) -> bool:
        return bool(self._found)

    def claim(self, action: ActionId, attempt: int) -> Survivor | None:
        """The survivor that is this attempt, if there is one; nobody else gets it."""
        found = self._found.get((action, attempt))
        if found is None or found.key in self._dismissed:
            return None
        return self._found.pop((action, attempt))

    def has(self, action: ActionId, attempt: int) -> bool:
        """Whether `claim` would find one."""
        found = self._found.get((action, attempt))
        return found is not None and found.key not in self._dismissed

    def dismiss(self) -> list[AttemptKey]:
        """Nobody will claim one any more: those whose end was not asked for."""
        keys = [survivor.key for survivor in self._found.values() if survivor.key not in self._dismissed]
        self._dismissed.update(keys)
        return keys

    def dismiss_older(self, action: ActionId, attempt: int) -> list[AttemptKey]:
        """Nobody will claim attempts of this action before *attempt*."""
        keys = [
            survivor.key
            for survivor in self._found.values()
            if survivor.action == action and survivor.attempt < attempt and survivor.key not in self._dismissed
        ]
        self._dismissed.update(keys)
        return keys

    def gone(self, key: AttemptKey) -> bool:
        """Nothing is left of one that was not claimed; whether there was such a one."""
        for place, survivor in self._found.items():
            if survivor.key == key:
                del self._found[place]
                self._dismissed.discard(key)
                return True
        return False
