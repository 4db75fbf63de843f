"""The laws of `volant.ports.journal.Journal`, as tests for every adapter.

Derive a test class from `JournalConformance` and say how a journal is opened::

    class TestMine(JournalConformance):
        async def open(self, place: Path) -> Journal:
            return await MyJournal.open(place / "journal.db")

Opening the same place again must find what an earlier journal there had stored.
"""

from volant.testing.journal.deleting import Deleting
from volant.testing.journal.listing import Listing
from volant.testing.journal.ordering import Ordering
from volant.testing.journal.refusing import Refusing
from volant.testing.journal.samples import (
    START,
    action_id,
    refused,
    sample_action,
    sample_attempt,
    sample_change,
    sample_run,
)
from volant.testing.journal.storing import Storing

__all__ = [
    "START",
    "JournalConformance",
    "action_id",
    "refused",
    "sample_action",
    "sample_attempt",
    "sample_change",
    "sample_run",
]


class JournalConformance(Storing, Ordering, Refusing, Listing, Deleting):
    """The promises of the port, one test each."""
