"""Event loops that take in answers from the engine one at a time.

When several answers are there, user code must be able to react to the first before it sees the second: only then has
a race the same winner when it is played again from the journal, where the order of the answers is recorded. So an
answer is taken in when the loop has nothing else to do, and then one only.

`WorkerLoop` is the loop of a worker's main thread: its selector is where the engine's messages come in. `LoopInbox`
does the same for a loop that is not ours.
"""

import asyncio
import contextlib
import os
import select
import selectors
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVarTuple, Unpack

from volant.model.worker_protocol import Answer
from volant.worker.calls import Call, Caller, Line

Ts = TypeVarTuple("Ts")

_BUSY_TURNS = 64
_BUSY_SECONDS = 0.002
"""A loop that has always something to do gets an answer all the same, every so many turns and seconds."""
_SHORT_SECONDS = 0.0015
"""Who wakes up for less than this need not say so."""
_FIRST_LOOK_SECONDS = 0.05
_LAST_LOOK_SECONDS = 60.0
"""How often an attempt that only waits looks whether other threads keep it from being put away."""
_PATIENT_TURNS = 200
"""A loop that is not ours may have something ready all the time; after so many turns it counts as waiting."""
_ONE = (1).to_bytes(8, sys.byteorder)


class Wire(Protocol):
    """The way in from the engine, as the main loop needs it."""

    line: Line

    @property
    def descriptor(self) -> int | None:
        """What becomes readable when the engine said something; None when another thread reads."""
        ...

    def read(self) -> None:
        """Take what the engine said; blocks while it says nothing."""
        ...

    def begin_wait(self) -> bool:
        """This thread is about to wait. Whether it has to read meanwhile, because no other thread does."""
        ...

    def end_wait(self) -> None:
        """This thread goes on with user code."""
        ...

    def is_alone(self) -> bool:
        """Whether no other thread or process of this attempt can wake it."""
        ...


class WorkerLoop(asyncio.SelectorEventLoop):
    """The loop of a worker's main thread.

    Made for every attempt whose function is async, and often not needed: the descriptors that an event loop has
    are only opened when it waits for the first time.
    """

    def __init__(self, wire: Wire, caller: Caller) -> None:
        self.engine = EngineSelector(wire, caller)
        super().__init__(self.engine)
        queue: Any = self
        self._others_ready: deque[Any] = queue._ready

    def expect(self, call: Call) -> None:
        """Take in the answer to a call that was just posted."""
        call.deliver = self.engine.deliver
        # Posted messages leave before the loop waits. But if one callback is yet to run in this turn, it may be the
        # one that made the call go off by itself, to compute meanwhile.
        if len(self._others_ready) == 1:
            self.engine.flush()

    def _make_self_pipe(self) -> None:
        """The selector has its own way to be woken up."""

    def _close_self_pipe(self) -> None:
        if getattr(self, "_ssock", None) is not None:
            super()._close_self_pipe()  # type: ignore[misc]

    def _write_to_self(self) -> None:
        self.engine.wake()

    def add_signal_handler(self, sig: int, callback: Callable[[Unpack[Ts]], object], *args: *Ts) -> None:
        """The wake-up descriptor of signals must be a socket, so now there is one."""
        if getattr(self, "_csock", None) is None:
            super()._make_self_pipe()  # type: ignore[misc]
        super().add_signal_handler(sig, callback, *args)


class EngineSelector(selectors.BaseSelector):
    """Waits for the engine and for whatever descriptors user code registers."""

    def __init__(self, wire: Wire, caller: Caller) -> None:
        self._wire = wire
        self._line = wire.line
        self._caller = caller
        self._inbox: deque[tuple[Call, Answer]] = deque()
        self._others: selectors.BaseSelector | None = None
        self._users = 0
        self._watched: int | None = None
        self._alarm = -1
        self._alarm_end = -1
        self._turns = 0
        self._busy_since = 0.0
        self._woke_at: float | None = None
        self._naps = 0

    # What comes from the engine

    def deliver(self, call: Call, answer: Answer) -> None:
        """An answer arrived, for a coroutine of this loop. Any thread."""
        self._inbox.append((call, answer))
        if self._wire.descriptor is None:
            self.wake()

    def flush(self) -> None:
        """Send what was posted."""
        self._line.flush()

    def wake(self) -> None:
        """Let a `select` that waits return. Any thread."""
        if self._alarm_end >= 0:
            with contextlib.suppress(BlockingIOError, OSError):
                os.write(self._alarm_end, _ONE)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout <= 0:
            return self._busy()
        self._turns = 0
        if self._take_one():
            return self._look() if self._users else []
        return self._wait(timeout)

    def _take_one(self) -> bool:
        if not self._inbox:
            return False
        call, answer = self._inbox.popleft()
        call.take(answer)
        return True

    def _busy(self) -> list[tuple[selectors.SelectorKey, int]]:
        """Something is ready to run; the engine comes later, but not never."""
        # What is ready may compute for long, and calls that were made must not wait for that.
        if self._line.has_unsent:
            self._line.flush()
        self._turns += 1
        if self._turns == 1:
            self._busy_since = time.monotonic()
        elif self._turns >= _BUSY_TURNS and time.monotonic() - self._busy_since > _BUSY_SECONDS:
            self._turns = 0
            if not self._take_one():
                self._look_at_engine()
        return self._look() if self._users else []

    def _wait(self, timeout: float | None) -> list[tuple[selectors.SelectorKey, int]]:
        if self._others is None:
            self._open()
            # Whoever called from another thread before there was an alarm is in the loop's queue by now.
            return []
        is_settled = self._say_where_it_stands(is_timed=timeout is not None)
        wire = self._wire
        reads = wire.begin_wait()
        try:
            self._watch(wire.descriptor if reads else None)
            if self._inbox:
                return []
            ready = self._others.select(timeout) if is_settled else self._wait_to_be_alone(self._others)
            return self._sort(ready)
        finally:
            wire.end_wait()

    def _say_where_it_stands(self, *, is_timed: bool) -> bool:
        """Before waiting: the attempt lends its CPU. One that woke up for a moment need not have said so.

        Gives False if it may turn out later that only the engine can wake it.
        """
        now = time.monotonic()
        if self._woke_at is not None:
            self._naps = self._naps + 1 if now - self._woke_at < _SHORT_SECONDS else 0
            self._woke_at = None
        is_awaited = not (is_timed or self._users or self._caller.steps)
        is_alone = is_awaited and self._wire.is_alone()
        self._line.say_waiting(self._caller, for_engine=is_alone)
        self._line.flush()
        return is_alone or not is_awaited

    def _wait_to_be_alone(self, others: selectors.BaseSelector) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait, and look now and then whether threads and processes are gone that could wake it, or have nothing to
        do: one that has just finished may not look like it yet."""
        pause = _FIRST_LOOK_SECONDS
        while not (ready := others.select(pause)):
            if self._wire.is_alone():
                self._line.say_waiting(self._caller, for_engine=True)
                self._line.flush()
                return others.select()
            pause = min(pause * 2, _LAST_LOOK_SECONDS)
        return ready

    def _sort(self, ready: list[tuple[selectors.SelectorKey, int]]) -> list[tuple[selectors.SelectorKey, int]]:
        """What is ready of the user's; what is the engine's is dealt with here."""
        theirs: list[tuple[selectors.SelectorKey, int]] = []
        heard = False
        for item in ready:
            key = item[0]
            if key.data is self:
                if key.fd == self._alarm:
                    self._silence()
                else:
                    self._wire.read()
                    heard = True
            else:
                theirs.append(item)
        if heard and not theirs and self._inbox:
            self._take_one()
        elif not heard:
            self._woke_at = time.monotonic()
            if self._naps < 2:
                # Sent at once: user code may compute for long from here on.
                self._line.say_working(self._caller)
                self._line.flush()
        return theirs

    def _look(self) -> list[tuple[selectors.SelectorKey, int]]:
        assert self._others is not None
        return [item for item in self._others.select(0) if item[0].data is not self]

    def _look_at_engine(self) -> None:
        descriptor = self._wire.descriptor
        if descriptor is not None and select.select([descriptor], [], [], 0)[0]:
            self._wire.read()
            self._take_one()

    # Descriptors

    def _open(self) -> None:
        self._others = selectors.DefaultSelector()
        if hasattr(os, "eventfd"):
            self._alarm = self._alarm_end = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        else:
            self._alarm, self._alarm_end = os.pipe()
            os.set_blocking(self._alarm, False)
            os.set_blocking(self._alarm_end, False)
        self._others.register(self._alarm, selectors.EVENT_READ, self)

    def _watch(self, descriptor: int | None) -> None:
        if descriptor == self._watched or self._others is None:
            return
        if self._watched is not None:
            self._others.unregister(self._watched)
        if descriptor is not None:
            self._others.register(descriptor, selectors.EVENT_READ, self)
        self._watched = descriptor

    def _silence(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._alarm, 4096)

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        if self._others is None:
            self._open()
        assert self._others is not None
        key = self._others.register(fileobj, events, data)
        self._users += 1
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        if self._others is None:
            msg = f"{fileobj!r} is not registered"
            raise KeyError(msg)
        key = self._others.unregister(fileobj)
        self._users -= 1
        return key

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        if self._others is None:
            msg = f"{fileobj!r} is not registered"
            raise KeyError(msg)
        return self._others.modify(fileobj, events, data)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return {} if self._others is None else self._others.get_map()

    def close(self) -> None:
        if self._others is not None:
            self._others.close()
            self._others = None
            os.close(self._alarm)
            if self._alarm_end != self._alarm:
                os.close(self._alarm_end)
            self._alarm = self._alarm_end = -1


class LoopInbox:
    """Takes in answers one at a time on a loop that is not ours.

    Such a loop has no hook for the moment before it waits, so a callback of ours looks, again and again while there
    is a reason to, whether anything else is ready to run.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, line: Line) -> None:
        self._loop = loop
        self._line = line
        self._inbox: deque[tuple[Call, Answer]] = deque()
        self._callers: dict[int, Caller] = {}
        self._is_due = False
        self._turns = 0

    def touch(self, caller: Caller) -> None:
        """Something was posted for *caller* on this loop: see that it is sent, and that the engine hears it waits."""
        self._callers[caller.key] = caller
        self._schedule()

    def deliver(self, call: Call, answer: Answer) -> None:
        """An answer arrived, for a coroutine of this loop. Any thread."""
        self._inbox.append((call, answer))
        with contextlib.suppress(RuntimeError):  # the loop was closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._schedule)

    def _schedule(self) -> None:
        if not self._is_due:
            self._is_due = True
            self._turns = 0
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        if self._line.has_unsent:
            self._line.flush()
        ready = getattr(self._loop, "_ready", None)
        self._turns += 1
        # A loop that does not show its queue gets a few turns for a chain of callbacks to run through.
        is_quiet = not ready if ready is not None else self._turns > _BLIND_TURNS
        if not is_quiet and self._turns < _PATIENT_TURNS:
            self._loop.call_soon(self._turn)
            return
        self._turns = 0
        if self._inbox:
            call, answer = self._inbox.popleft()
            call.take(answer)
            self._callers[call.caller.key] = call.caller
            self._loop.call_soon(self._turn)
            return
        self._is_due = False
        for caller in self._callers.values():
            self._line.say_waiting(caller)
        self._callers.clear()
        self._line.flush()


_BLIND_TURNS = 8
