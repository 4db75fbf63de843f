"""A glance into the journal for those who cannot wait: names of runs, tasks and actions, for shell completion."""

from typing import NamedTuple, Protocol


class Glimpse(NamedTuple):
    """A run or an action."""

    name: str
    task: str
    phase: str


class Peek(Protocol):
    """Short answers from one journal. Nothing is started, written or migrated, and a question that takes too long is
    given up with an error of whatever kind."""

    def runs(self, prefix: str, *, limit: int) -> list[Glimpse]:
        """Runs whose names begin so; the newest where all do."""
        ...

    def root_tasks(self, *, limit: int) -> list[str]:
        """Full names of tasks that runs were made of."""
        ...

    def actions(self, run: str, prefix: str, *, limit: int) -> list[Glimpse]:
        """Actions of a run whose ids begin so; none when the name is that of no run, or of several."""
        ...
