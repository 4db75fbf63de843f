"""Lending the CPU of attempts that observably do not use it, while something waits for it.

An attempt that awaits says so by itself. One that blocks in a system call or sleeps cannot; it is seen to take no CPU.
"""

import asyncio
import itertools
from collections import defaultdict
from collections.abc import Callable
from datetime import timedelta

from volant.decide.placement import Placement
from volant.model.ids import AttemptKey
from volant.ports.launcher import Launcher

_INTERVAL = timedelta(milliseconds=20)
"""Between two looks."""
_IDLE_AT_ONCE = 32
"""So many of those whose CPU was lent are looked at again with each look; more of them take turns."""


class CpuObserver:
    """Looks at holders of CPU again and again for as long as something is queued."""

    def __init__(
        self,
        placement: Placement,
        *,
        launcher_of: Callable[[AttemptKey], Launcher | None],
        asks: Callable[[AttemptKey], bool],
        changed: Callable[[], None],
    ) -> None:
        """*asks*: whether an attempt has calls without an answer; *changed* is called when CPU may have become free."""
        self._placement = placement
        self._launcher_of = launcher_of
        self._asks = asks
        self._changed = changed
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._idle: dict[AttemptKey, None] = {}
        """Whose CPU was lent because of what was seen; who was looked at longest ago comes first."""

    def watch(self) -> None:
        """Something is queued."""
        if self._timer is None:
            self._timer = self._loop.call_later(_INTERVAL.total_seconds(), self._look)

    def spoke(self, key: AttemptKey) -> None:
        """The attempt said itself whether it needs its CPU, or is gone."""
        self._idle.pop(key, None)

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        self._timer = None
        placement = self._placement
        if not placement.queued:
            return
        by_launcher: dict[Launcher, list[AttemptKey]] = defaultdict(list)
        for key in [*placement.working(), *itertools.islice(self._idle, _IDLE_AT_ONCE)]:
            launcher = self._launcher_of(key)
            if launcher is not None:
                by_launcher[launcher].append(key)
        for launcher, keys in by_launcher.items():
            idle = launcher.idle(keys)
            for key in keys:
                was_idle = key in self._idle
                self._idle.pop(key, None)
                if key in idle:
                    self._idle[key] = None
                    placement.lend(key, for_calls=self._asks(key))
                elif was_idle:
                    placement.take_back(key)
        self._changed()
        if placement.queued:
            self.watch()
