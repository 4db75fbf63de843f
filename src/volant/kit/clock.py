"""The time, handed in, so that nobody reads it behind a test's back."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol


class Timer(Protocol):
    """A call that will happen; it can be called off."""

    def cancel(self) -> None: ...


class Clock(Protocol):
    """Wall time for records, and timers for the engine."""

    def now(self) -> datetime:
        """Aware UTC; never goes back within one process."""
        ...

    def call_at(self, when: datetime, callback: Callable[[], None]) -> Timer:
        """Call *callback* on the engine's loop once *when* has come."""
        ...


class MonotonicUtc:
    """Aware UTC that follows the machine's clock but never goes back."""

    def __init__(self) -> None:
        self._last = datetime.now(UTC)

    def now(self) -> datetime:
        """The time, at least as late as the last answer."""
        now = datetime.now(UTC)
        if now < self._last:
            return self._last
        self._last = now
        return now


class LoopClock(MonotonicUtc):
    """The machine's clock, with timers on the running event loop."""

    def call_at(self, when: datetime, callback: Callable[[], None]) -> Timer:
        """Call *callback* once *when* has come; soon if it has passed."""
        delay = (when - self.now()).total_seconds()
        return asyncio.get_running_loop().call_later(max(0.0, delay), callback)
