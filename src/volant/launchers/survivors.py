"""Attempts that an earlier engine started and whose processes are, or were, still there when this one came.

Each waits until its run is resumed: then the run takes all of its own, and is told of one only what happens after it
said that it goes on with it, or that it is to end.
"""

from collections.abc import Callable, Sequence

from volant.model.exits import Exit
from volant.model.ids import AttemptKey, RunId
from volant.model.worker_protocol import ForkedAttempt


class _Waiting:
    __slots__ = ("ended", "fork", "is_dismissed", "is_taken")

    def __init__(self, fork: ForkedAttempt) -> None:
        self.fork = fork
        self.ended: Exit | None = None
        """How its process ended, which nobody was told."""
        self.is_taken = False
        self.is_dismissed = False


class WaitingSurvivors:
    """Those that nobody goes on with yet."""

    def __init__(self) -> None:
        self._waiting: dict[AttemptKey, _Waiting] = {}

    @property
    def are_expected(self) -> bool:
        """Whether one is there whose run was not resumed."""
        return any(not waiting.is_taken for waiting in self._waiting.values())

    def add(self, fork: ForkedAttempt, ended: Exit | None = None) -> None:
        """One came, with its zygote."""
        waiting = self._waiting.setdefault(fork.attempt_key, _Waiting(fork))
        waiting.ended = waiting.ended or ended

    def take(self, run: RunId) -> list[ForkedAttempt]:
        """The run is resumed: those of it."""
        found = [waiting for waiting in self._waiting.values() if waiting.fork.run == run]
        for waiting in found:
            waiting.is_taken = True
        return [waiting.fork for waiting in found]

    def go_on(self, key: AttemptKey) -> tuple[ForkedAttempt, Exit | None] | None:
        """It is adopted; who it is, and how it ended if it did."""
        waiting = self._waiting.pop(key, None)
        return None if waiting is None else (waiting.fork, waiting.ended)

    def dismiss(self, key: AttemptKey) -> Exit | None:
        """It is to end; how it has, if it had. Otherwise its end is told when it comes."""
        waiting = self._waiting.get(key)
        if waiting is None:
            return None
        waiting.is_dismissed = True
        if waiting.ended is not None:
            del self._waiting[key]
        return waiting.ended

    def gone(self, key: AttemptKey, ended: Exit) -> bool:
        """Its process is gone; whether that is kept for whoever goes on with it."""
        waiting = self._waiting.get(key)
        if waiting is None:
            return False
        if waiting.is_dismissed:
            del self._waiting[key]
            return False
        waiting.ended = ended
        return True

    def unclaimed(self, of: Callable[[ForkedAttempt], bool]) -> Sequence[AttemptKey]:
        """Those of nobody that are like *of*."""
        return [key for key, waiting in self._waiting.items() if not waiting.is_taken and of(waiting.fork)]
