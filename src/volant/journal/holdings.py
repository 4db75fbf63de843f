"""What one owner believes to hold: which runs it may write until it hears that another has them."""

from volant.model.errors import BatchRefusedError
from volant.model.ids import RunId


class Holdings:
    """Tokens of the runs that an owner holds, and names of those that it must not write before it acquires them."""

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.held: dict[RunId, int] = {}
        """Tokens."""
        self._parted: set[RunId] = set()
        self._stale: set[RunId] = set()

    def acquired(self, run: RunId, token: int) -> None:
        """The run is this owner's from now on; others may have written to it."""
        self.met(run, token)
        self._stale.add(run)

    def met(self, run: RunId, token: int) -> None:
        """The run is this owner's, and what its writer knows of it is true."""
        self.held[run] = token
        self._parted.discard(run)

    def parted(self, run: RunId) -> None:
        """The run was lost or released: writing to it is not enough to own it again."""
        self.held.pop(run, None)
        self._parted.add(run)
        self._stale.add(run)

    def seen_with_another(self, run: RunId) -> None:
        """The run is not this owner's. If it was, it was lost; if it never was, it may be when nobody has it."""
        if run in self.held:
            self.parted(run)

    def ended(self, run: RunId) -> None:
        """The run needs no owner any more."""
        self.held.pop(run, None)

    def may_take(self, run: RunId) -> bool:
        """Whether writing to the run, if nobody has it, makes it this owner's."""
        return run not in self._parted

    def stale(self) -> set[RunId]:
        """Runs of which a writer has to forget what it knows, each told once."""
        stale, self._stale = self._stale, set()
        return stale

    def refusal(self, run: RunId, owner: str) -> BatchRefusedError:
        """Why nothing of a run that *owner* has can be written; nobody has it where that is empty."""
        if owner and owner != self.owner:
            return BatchRefusedError(f"run {run!r}: it belongs to engine {owner!r}, not to {self.owner!r}")
        return BatchRefusedError(
            f"run {run!r}: engine {self.owner!r} let go of it, or lost it", hint="acquire it again"
        )
