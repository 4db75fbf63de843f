"""A glance at what is known of runs, without an engine."""

import contextlib
from collections.abc import Generator

from volant.journal.sqlite.peeking import peek
from volant.ports.peeking import Peek
from volant.settings.tree import Settings
from volant.wiring.stores import is_shared, journal_file

_SERVER = 5
"""A server has so many times longer: a connection has to be made first."""


@contextlib.contextmanager
def peek_at(settings: Settings, *, seconds: float) -> Generator[Peek | None]:
    """The journal that the settings name, for so many *seconds*; None when there is none yet."""
    if is_shared(settings):
        from volant.journal.postgres.peeking import PostgresPeek

        yield PostgresPeek(settings.database or "", seconds=seconds * _SERVER)
        return
    with peek(journal_file(settings), seconds=seconds) as found:
        yield found
