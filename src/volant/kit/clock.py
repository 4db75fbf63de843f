"""The time, handed in, so that nobody reads it behind a test's back."""

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
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


def uptime() -> float:
    """Seconds that never go back and, where the system can tell, go on while the machine sleeps."""
    return time.clock_gettime(_UPTIME)


_UPTIME = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


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
    """The machine's clock, with timers on the running event loop, however many they are.

    They stand in one queue, and the loop knows the earliest of them. The wall clock is looked at now and then as well,
    since the timers of a loop stand still while a laptop sleeps. Whichever says first that a time has come is believed:
    a wall clock that is set back delays nothing that it had before it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._queue: list[tuple[datetime, int, _Queued]] = []
        self._numbers = itertools.count()
        self._called_off = 0
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_for: datetime | None = None
        self._rest: asyncio.Handle | None = None
        self._look: asyncio.TimerHandle | None = None

    def call_at(self, when: datetime, callback: Callable[[], None]) -> Timer:
        """Call *callback* once *when* has come; soon if it has passed."""
        queued = _Queued(self, callback)
        heapq.heappush(self._queue, (when, next(self._numbers), queued))
        if self._alarm_for is None or when < self._alarm_for:
            self._set_alarm()
        return queued

    def _set_alarm(self) -> None:
        """For the earliest."""
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = self._alarm_for = None
        while self._queue and self._queue[0][2].callback is None:
            heapq.heappop(self._queue)
            self._called_off -= 1
        if not self._queue:
            return
        loop = asyncio.get_running_loop()
        self._alarm_for = self._queue[0][0]
        delay = (self._alarm_for - self.now()).total_seconds()
        self._alarm = loop.call_later(max(0.0, delay), self._serve, self._alarm_for)
        if self._look is None:
            self._look = loop.call_later(_LOOK.total_seconds(), self._look_at_wall_clock)

    def _serve(self, until: datetime) -> None:
        """Call what is due, a part of it if it is much: others have their turns of the loop between."""
        # By whichever clock said so, that time has come.
        self._last = max(self._last, until)
        until = self.now()
        self._rest = None
        for _ in range(_AT_ONCE):
            if not self._queue or self._queue[0][0] > until:
                self._set_alarm()
                return
            queued = heapq.heappop(self._queue)[2]
            callback, queued.callback = queued.callback, None
            if callback is None:
                self._called_off -= 1
            else:
                callback()
        self._rest = asyncio.get_running_loop().call_soon(self._serve, until)

    def _look_at_wall_clock(self) -> None:
        self._look = None
        if self._queue and self._rest is None and self._queue[0][0] <= self.now():
            self._serve(self._queue[0][0])
        if self._queue and self._look is None:
            self._look = asyncio.get_running_loop().call_later(_LOOK.total_seconds(), self._look_at_wall_clock)

    def called_off(self) -> None:
        """One of those in the queue was."""
        self._called_off += 1
        if self._called_off > len(self._queue) // 2 + _AT_ONCE:
            self._queue = [each for each in self._queue if each[2].callback is not None]
            heapq.heapify(self._queue)
            self._called_off = 0


class _Queued:
    """A call that will happen; it can be called off."""

    __slots__ = ("_clock", "callback")

    def __init__(self, clock: LoopClock, callback: Callable[[], None]) -> None:
        self._clock = clock
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        if self.callback is not None:
            self.callback = None
            self._clock.called_off()


_LOOK = timedelta(seconds=30)
"""How late a time is noticed at most that came while the machine slept."""
_AT_ONCE = 200
"""So many that are due together are called before others have their turn of the loop."""
