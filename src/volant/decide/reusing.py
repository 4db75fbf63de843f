"""Which recorded outcomes of a run that has ended another run of the same task takes over.

The new run's root has the id of the old one's, so equal calls of equal parents have equal ids in both. What succeeded
is taken over where the new run calls it; what failed is executed again, and what was below it is taken over in turn.

From an action on: it is executed again, its ancestors too, and everything below it. Which later call used its result
nobody recorded. Where a result travelled as an argument, a new result makes another call, with another id; where it
travelled otherwise, through a file or a variable, it does not. So whatever one of its ancestors called after it had its
outcome is executed again, with all below that; what was called before cannot have seen it.
"""

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise

from volant.model.phases import ActionPhase
from volant.model.records import ActionRecord
from volant.model.reusing import Again, Reuse


def again_from(path: Sequence[ActionRecord]) -> tuple[Again, ...]:
    """What is executed again from an action on, by the *path* that leads to it from the root, both included."""
    found = [
        Again(action=parent.action, calls_before=_outcome_known_at(parent, child)) for parent, child in pairwise(path)
    ]
    return (*found, Again(action=path[-1].action))


class Choice:
    """What one run takes over."""

    def __init__(self, reuse: Reuse) -> None:
        self._again = {each.action: each for each in reuse.again}

    def takes_branch(self, record: ActionRecord) -> bool | None:
        """Whether an action, and all below it, was called before the one from which on all is executed again had ended.

        None: that is so if it is so for its parent.
        """
        if not self._again or record.parent is None:
            return True
        caller = self._again.get(record.parent)
        if caller is None:
            return None
        return caller.calls_before is not None and record.created_at < caller.calls_before

    def takes(self, record: ActionRecord) -> bool:
        """Whether an action has an outcome that is taken over, on a branch that is."""
        if record.action in self._again:
            return False
        return record.phase is ActionPhase.SUCCEEDED and record.outputs is not None


def order_of(record: ActionRecord) -> int:
    """Outcomes that are taken over together are told in the order in which they came."""
    return record.outcome_seq or 0


def _outcome_known_at(parent: ActionRecord, child: ActionRecord) -> datetime | None:
    # A parent that failed by itself was told an outcome of before too, of which nothing is recorded any more.
    return child.created_at if parent.user_failures else child.ended_at
