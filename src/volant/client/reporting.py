"""Who is told how a run gets on."""

from collections.abc import Sequence
from typing import Protocol

from volant.model.records import Change, RunRecord
from volant.model.worker_protocol import Outcome


class Reporter(Protocol):
    """Shows a run to whoever waits for it. Called on the loop that watches; must not block for long."""

    def accepted(self, run: RunRecord) -> None:
        """The run has a name, which is committed."""
        ...

    def changed(self, changes: Sequence[Change]) -> None:
        """More of it was committed."""
        ...

    def ended(self, run: RunRecord, outcome: Outcome | None) -> None:
        """Nothing more will come."""
        ...

    def notice(self, message: str) -> None:
        """Something about the watching itself: the engine went away, an abort is under way."""
        ...

    def written(self, lines: Sequence[str]) -> None:
        """Attempts wrote these lines, which say whose they are."""
        ...

    def close(self) -> None:
        """Watching has stopped, whatever became of the run."""
        ...


class Silent:
    """Shows nothing."""

    def accepted(self, run: RunRecord) -> None: ...

    def changed(self, changes: Sequence[Change]) -> None: ...

    def ended(self, run: RunRecord, outcome: Outcome | None) -> None: ...

    def notice(self, message: str) -> None: ...

    def written(self, lines: Sequence[str]) -> None: ...

    def close(self) -> None: ...
