"""A glance at what is known of runs, without an engine."""

import contextlib
from collections.abc import Generator

from volant.journal.sqlite.peeking import Peek, peek
from volant.settings.tree import Settings
from volant.wiring.stores import is_shared, journal_file


@contextlib.contextmanager
def peek_at(settings: Settings, *, seconds: float) -> Generator[Peek | None]:
    """The journal that the settings name, for so many *seconds*; None when there is none yet, or only on a server."""
    if is_shared(settings):
        # Nobody who presses a key waits for a server.
        yield None
        return
    with peek(journal_file(settings), seconds=seconds) as found:
        yield found
