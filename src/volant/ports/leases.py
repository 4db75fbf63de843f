"""Who may write a run, where several engines share one journal."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol

import msgspec

from volant.model.ids import RunId


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """The right to write a run, for a while that its owner can prolong."""

    run: RunId
    owner: str
    token: int
    """Grows with every acquisition of the run; it belongs into the run's record."""


class OwnedElsewhere(msgspec.Struct, frozen=True, kw_only=True):
    """Another owner has the run."""

    run: RunId
    owner: str
    remaining: timedelta
    """Until its lease runs out, unless it is extended."""


class Leases(Protocol):
    """Leases of one owner on the runs of a journal; an owner's name is never used again by another.

    Every adapter keeps these promises; `volant.testing.leases.LeaseConformance` checks them:

    - *Exclusive*: a run has one owner at a time; of several that acquire it at once, one succeeds.
    - *Not stolen*: while a lease has not run out, nobody else acquires the run.
    - *Taken over*: once it has run out, or was released, anybody acquires the run.
    - *Fenced*: once a run was acquired by another, no batch of its earlier owner that has a row of it is stored,
      however late it arrives: it is refused alone (`BatchRefusedError`). So is one of whoever never owned the run,
      while it has an owner.
    - *Growing*: every acquisition of a run has a greater token than those before; extending keeps it.
    - *Born owned*: a run belongs to whoever commits it first, with token 1; it is released by the commit of its end.
      One that nobody owns, not even somebody dead, belongs to whoever commits a row of it.
    - *The store's clock*: whether a lease has run out, only the clock of the store says.
    - *Late is not lost*: an owner whose lease ran out and was acquired by nobody extends it, and writes, as before.
    """

    @property
    def owner(self) -> str:
        """Whose leases these are."""
        ...

    @property
    def duration(self) -> timedelta:
        """For how long a lease is valid after it was acquired or extended."""
        ...

    async def acquire(self, run: RunId) -> Lease | OwnedElsewhere:
        """Become the owner of a run; who is it already stays it, with the same token.

        Raises:
            RunNotFoundError: there is no such run.
            JournalError: the store did not answer. The run may be owned; acquire it again.
        """
        ...

    async def extend(self) -> Sequence[RunId]:
        """Prolong every lease that is held; the runs that were lost to others. Nothing of those can be written any
        more, until they are acquired again.

        Raises:
            JournalError: the store did not answer; nothing is known.
        """
        ...

    async def release(self, run: RunId) -> None:
        """Let others have a run, at once. Without effect on a run that is not held. The owner has to acquire it again
        before it writes to it.

        Raises:
            JournalError: the store did not answer. The lease runs out by itself.
        """
        ...

    async def reap(self) -> Sequence[RunId]:
        """Runs that have not ended and that nobody owns: their owner released them, or died and its lease has run out.
        Oldest first.

        Raises:
            JournalError: the store did not answer.
        """
        ...
