"""A thread for work that waits, beside a loop that may never rest.

The interpreter belongs to one thread at a time, and a busy loop keeps it: whenever the loop polls its sockets it lets
go for a microsecond and has it back before a waiting thread is awake. Python's remedy, asking the owner to let go
after 5 ms, starts anew at each such moment, so a thread may wait for seconds to begin, and again to say that it has
finished. Therefore the loop hands over the interpreter on purpose, for a fraction of a millisecond: when it gives the
thread work, and from time to time until that is done. An idle loop loses nothing by it.
"""

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")

_HAND_OVER = 0.0002
"""Seconds for which the loop lets the thread have the interpreter; about four times what waking it takes."""
_FIRST_PAUSE = 0.0005
"""Seconds until the first time; the pauses double, so that slow work costs the loop little."""
_LAST_PAUSE = 0.004

_Job = Callable[[], None]


class LoopThread:
    """One thread, its jobs in order; what they return is told on the loop.

    *hand_over* is for how many seconds at a time the loop lets the thread have the interpreter, at most.
    """

    def __init__(self, name: str, *, hand_over: float = _HAND_OVER) -> None:
        self._loop = asyncio.get_running_loop()
        self._patience = hand_over
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._begun = threading.Lock()
        self._done = threading.Lock()
        self._begun.acquire()
        self._done.acquire()
        self._unfinished = 0
        self._timer: asyncio.TimerHandle | None = None
        threading.Thread(target=self._serve, name=name, daemon=True).start()

    def run(self, work: Callable[[], _T], then: Callable[[_T | None, Exception | None], object]) -> None:
        """Do *work* in the thread, then call *then* on the loop with what it returned or raised."""

        def finish(result: _T | None, error: Exception | None) -> None:
            self._unfinished -= 1
            if not self._unfinished and self._timer is not None:
                self._timer.cancel()
                self._timer = None
            then(result, error)

        def job() -> None:
            result, failure = None, None
            try:
                result = work()
            except Exception as error:  # noqa: BLE001 - told to whoever gave the work
                failure = error
            self._loop.call_soon_threadsafe(finish, result, failure)

        self._unfinished += 1
        # What an earlier job said when nobody listened is not about this one.
        self._begun.acquire(blocking=False)
        self._done.acquire(blocking=False)
        self._jobs.put(job)
        self._begun.acquire(timeout=self._patience)
        if self._timer is None:
            self._timer = self._loop.call_later(_FIRST_PAUSE, self._hand_over, _FIRST_PAUSE)

    def stop(self) -> None:
        """End after the jobs that were given."""
        self._jobs.put(None)

    def _hand_over(self, pause: float) -> None:
        done = self._done.acquire(timeout=self._patience)
        pause = _FIRST_PAUSE if done else min(2 * pause, _LAST_PAUSE)
        self._timer = self._loop.call_later(pause, self._hand_over, pause)

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            _set(self._begun)
            try:
                job()
            except RuntimeError:
                # The loop was closed before its journal: nobody is left to be told.
                return
            _set(self._done)


def _set(flag: threading.Lock) -> None:
    # Only this thread releases, so it cannot be unlocked twice.
    if flag.locked():
        flag.release()
