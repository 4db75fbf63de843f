"""A clock for tests: it stands still while tasks work, and jumps over the time in which nothing would happen.

When is that? The clock cannot know; its loop can. Just before the loop would block there is nothing left to do in this
process, and if the engine then says that only time helps (every attempt waits for what it called, and nothing is on
its way to one), the wait is over: the clock jumps to its next timer. So a run that fails and waits for hours takes no
time, and its waits are in the records to the microsecond, however slow the machine is.

An attempt that works, or that sleeps by itself, is in real time and holds the clock back. A timer is served, at the
latest, when as much real time has passed as it was set for.
"""

import asyncio
import heapq
import itertools
import selectors
from collections.abc import Callable
from datetime import UTC, datetime

from volant.kit.clock import Timer


def _never() -> bool:
    return False


class JumpingClock:
    """Aware UTC that moves when a timer is served, and between runs; see `volant.kit.clock.Clock`."""

    def __init__(self) -> None:
        self.may_jump: Callable[[], bool] = _never
        """Whether only time helps; asked before the loop blocks."""
        self.is_idle: Callable[[], bool] = _never
        """Whether no run is live: then the clock catches up with the machine's; asked before the loop blocks."""
        self._now = datetime.now(UTC)
        self._is_behind = False
        self._numbers = itertools.count()
        self._timers: list[tuple[datetime, int, _Timer]] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    def new_loop(self) -> asyncio.AbstractEventLoop:
        """The loop on which the timers are served; the clock jumps when it has nothing to do."""
        self._loop = asyncio.SelectorEventLoop(_AskingSelector(self._nothing_to_do))
        return self._loop

    def now(self) -> datetime:
        """The time, at least as late as the last answer."""
        if self._is_behind:
            self._is_behind = False
            self._now = max(self._now, datetime.now(UTC))
        return self._now

    def call_at(self, when: datetime, callback: Callable[[], None]) -> Timer:
        """Call *callback* once *when* has come; soon if it has passed."""
        delay = max(0.0, (when - self.now()).total_seconds())
        timer = _Timer(callback)
        timer.alarm = asyncio.get_running_loop().call_later(delay, self._serve, when, timer)
        heapq.heappush(self._timers, (when, next(self._numbers), timer))
        return timer

    def _nothing_to_do(self) -> bool:
        """Jump if only that helps; whether there is something to do now."""
        self._forget_served()
        self._is_behind = self._is_behind or self.is_idle()
        if not self._timers or self._loop is None or not self.may_jump():
            return False
        self._loop.call_soon(self._jump, self._timers[0][0])
        return True

    def _jump(self, to: datetime) -> None:
        due: list[_Timer] = []
        while self._timers and self._timers[0][0] <= to:
            due.append(heapq.heappop(self._timers)[2])
        for timer in due:
            self._serve(to, timer)

    def _serve(self, when: datetime, timer: "_Timer") -> None:
        callback = timer.callback
        timer.cancel()
        if callback is not None:
            self._now = max(self._now, when)
            callback()

    def _forget_served(self) -> None:
        while self._timers and self._timers[0][2].callback is None:
            heapq.heappop(self._timers)


class _Timer:
    """A call that will happen, by a jump or by its alarm."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback
        self.alarm: asyncio.TimerHandle | None = None

    def cancel(self) -> None:
        self.callback = None
        if self.alarm is not None:
            self.alarm.cancel()


class _AskingSelector(selectors.DefaultSelector):
    """Before it waits for descriptors, it asks whether there is something to do after all."""

    def __init__(self, ask: Callable[[], bool]) -> None:
        super().__init__()
        self._ask = ask

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout <= 0:
            return super().select(timeout)
        # What has arrived already comes first: it may be from an attempt that was thought to wait.
        return super().select(0) or ([] if self._ask() else super().select(timeout))
