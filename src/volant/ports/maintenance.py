"""Looking after the database of a journal, apart from the engines that use it."""

from pathlib import Path
from typing import Protocol

import msgspec


class Upgraded(msgspec.Struct, frozen=True, kw_only=True):
    """Versions of the schema."""

    before: int
    """0 where there was no journal."""
    after: int


class Looked(msgspec.Struct, frozen=True, kw_only=True):
    """What a glance at the database tells."""

    server: str
    """What keeps it, with its version."""
    version: int
    """Of the schema; 0 where there is no journal yet."""
    wanted: int
    """The one that this release writes."""


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What a look at everything found."""

    runs: int
    actions: int
    changes: int
    problems: tuple[str, ...]
    """A sentence each; empty when all is well."""


class Maintenance(Protocol):
    """One database. Engines may be using it meanwhile."""

    async def look(self) -> Looked:
        """What is there, soon and without changing anything.

        Raises:
            JournalError: it cannot be reached, or is no journal.
        """
        ...

    async def upgrade(self) -> Upgraded:
        """Bring the schema to this release's version.

        Raises:
            JournalError: nothing was changed.
        """
        ...

    async def check(self) -> Checked:
        """Compare the schema with this release's, let the database check itself, and read every row.

        Raises:
            JournalError: it cannot be read at all.
        """
        ...

    async def backup(self, target: Path) -> None:
        """Write all that is committed now to a file that is not there yet. It is there whole or not at all.

        Raises:
            JournalError: it was not written.
        """
        ...
