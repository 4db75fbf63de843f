"""The names of actions, which follow from who asks for what, how often: see DESIGN.md, section 5."""

import threading

from volant.kit.digests import blake2b
from volant.model.ids import ActionId

UNDIGESTABLE = "undigestable"
"""In place of a digest, for inputs whose bytes may differ between equal values."""


def child_id(parent: ActionId, task: str, digest: str | None, occurrence: int) -> ActionId:
    """The id of the action that *parent* asks for; *occurrence* counts equal calls from 0."""
    named = f"{parent}\0{task}\0{digest or UNDIGESTABLE}\0{occurrence}"
    return ActionId(blake2b(named.encode(), digest_size=16).hexdigest())


class ActionNames:
    """Names the calls of one attempt, in the order in which they are made. Any thread may use it."""

    __slots__ = ("_counting", "_occurrences", "_parent")

    def __init__(self, parent: ActionId) -> None:
        self._parent = parent
        self._occurrences: dict[tuple[str, str | None], int] = {}
        self._counting = threading.Lock()

    def next(self, task: str, digest: str | None) -> ActionId:
        """The id for the next call of *task* with inputs of this digest; None where they have none."""
        with self._counting:
            occurrence = self._occurrences.get((task, digest), 0)
            self._occurrences[task, digest] = occurrence + 1
        return child_id(self._parent, task, digest, occurrence)
