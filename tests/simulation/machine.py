"""A machine on virtual time: processes with an event loop each, and what happens between them.

Everything is in one thread and one heap of events. Nothing reads the machine's real clock, starts a thread, or depends
on addresses or hashes; so a seed is a history. A process runs turn by turn, and may sleep, or die between any two
callbacks or calls to a port: what it had planned never happens, and no clean-up of its own is executed.
"""

import asyncio
import heapq
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


class Died(BaseException):
    """The process that runs is dead from here on: nothing of it is executed any more."""


class Machine:
    """Virtual time and what will happen when."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.now = 0.0
        """Seconds."""
        self.history: list[str] = []
        self.processes: list[Process] = []
        self.on_failure: Callable[[Process, str], object] = lambda process, what: None
        """Told of what a callback raised, which no program expects."""
        self._events: list[tuple[float, int, Callable[..., object], tuple[Any, ...]]] = []
        self._count = 0

    def at(self, when: float, callback: Callable[..., object], *args: Any) -> None:
        """Call *callback* at that time."""
        self._count += 1
        heapq.heappush(self._events, (max(when, self.now), self._count, callback, args))

    def after(self, seconds: float, callback: Callable[..., object], *args: Any) -> None:
        """Call *callback* so much later."""
        self.at(self.now + seconds, callback, *args)

    def utc(self) -> datetime:
        """The time as a date, to the microsecond."""
        return EPOCH + timedelta(microseconds=round(self.now * 1e6))

    def note(self, who: str, what: str) -> None:
        """A line of the history."""
        self.history.append(f"{self.now:12.6f} {who:<10} {what}")

    def run(self, is_done: Callable[[], bool], *, until: float) -> bool:
        """Let things happen until it is done; False if it is not at that time, or nothing more will happen."""
        while not is_done():
            if not self._events or self._events[0][0] > until:
                return False
            self.now, _, callback, args = heapq.heappop(self._events)
            callback(*args)
        return True

    def close(self) -> None:
        """Forget everything; coroutines that never ended are closed."""
        self._events.clear()
        for process in self.processes:
            process.is_alive = False
        for process in self.processes:
            process.loop.close()


class Process:
    """A program with an event loop of its own."""

    def __init__(self, machine: Machine, name: str) -> None:
        self.machine = machine
        self.name = name
        self.is_alive = True
        self.steps_to_live: int | None = None
        """Callbacks and calls to ports after which it dies."""
        self.on_death: list[Callable[[], object]] = []
        self.on_idle: Callable[[], object] | None = None
        """Called when it has nothing to do before its next timer, or anything, arrives."""
        self.loop = ProcessLoop(self)
        self._asleep_until = 0.0
        self._turn = 0
        """Number of the planned turn; others that come are forgotten."""
        self._turn_at: float | None = None
        machine.processes.append(self)

    def start(self, main: Coroutine[Any, Any, object]) -> None:
        """Run *main* from the next turn on."""
        self.loop.create_task(main).add_done_callback(self._ended)

    def _ended(self, main: "asyncio.Task[Any]") -> None:
        error = None if main.cancelled() else main.exception()
        if self.is_alive and error is not None:
            self.machine.on_failure(self, repr(error))

    def arrive(self, callback: Callable[..., object], *args: Any) -> None:
        """Something comes in from outside; lost when the process is dead."""
        if self.is_alive:
            self.loop.call_soon(callback, *args)

    def sleep(self, seconds: float) -> None:
        """Stop the whole process for a while; what arrives waits."""
        self._asleep_until = max(self._asleep_until, self.machine.now + seconds)

    @property
    def is_asleep(self) -> bool:
        """Whether it was stopped and does not go on yet."""
        return self.machine.now < self._asleep_until

    def die(self) -> None:
        """End at once."""
        if self.is_alive:
            self.is_alive = False
            self.loop.forget()
            for callback in self.on_death:
                callback()

    def step(self) -> None:
        """Something that another could see is about to happen, or has.

        Raises:
            Died: the process is dead.
        """
        if self.steps_to_live is not None and self.is_alive:
            self.steps_to_live -= 1
            if self.steps_to_live <= 0:
                self.die()
        if not self.is_alive:
            raise Died

    def plan(self, when: float) -> None:
        """Have a turn at that time at the latest."""
        when = max(when, self._asleep_until, self.machine.now)
        if self.is_alive and (self._turn_at is None or when < self._turn_at):
            self._turn += 1
            self._turn_at = when
            self.machine.at(when, self._take_turn, self._turn)

    def _take_turn(self, number: int) -> None:
        if number != self._turn or not self.is_alive:
            return
        self._turn_at = None
        if self.is_asleep:
            self.plan(self._asleep_until)
            return
        self.loop.turn()


class ProcessLoop(asyncio.AbstractEventLoop):
    """The event loop of a process: callbacks in their order, timers on virtual time, and nothing else."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._machine = process.machine
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._count = 0
        self._tasks: list[asyncio.Task[Any]] = []

    def turn(self) -> None:
        """Run what is ready now."""
        now, timers, ready, process = self._machine.now, self._timers, self._ready, self._process
        while timers and timers[0][0] <= now:
            ready.append(heapq.heappop(timers)[2])
        events._set_running_loop(self)
        try:
            for _ in range(len(ready)):
                if process.is_asleep:
                    break
                handle = ready.popleft()
                if not handle.cancelled():
                    handle._run()
                    process.step()
            if not ready and process.on_idle is not None:
                process.on_idle()
        except Died:
            return
        finally:
            events._set_running_loop(None)
        if ready:
            process.plan(now + self._machine.random.random() * 1e-4)
        while timers and timers[0][2].cancelled():
            heapq.heappop(timers)
        if timers:
            process.plan(timers[0][0])

    def forget(self) -> None:
        """Nothing that was planned happens."""
        self._ready.clear()
        self._timers.clear()

    def close(self) -> None:
        self.forget()
        for task in self._tasks:
            if not task.done():
                coroutine: Any = task.get_coro()
                try:
                    coroutine.close()
                except BaseException:  # noqa: BLE001  # what the dead would have done is of no interest
                    continue
        self.forget()

    # What programs use

    def time(self) -> float:
        return self._machine.now

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        if self._process.is_alive:
            self._ready.append(handle)
            self._process.plan(self._machine.now + self._machine.random.random() * 1e-4)
        return handle

    def call_later(self, delay: float, callback: Any, *args: Any, context: Any = None) -> asyncio.TimerHandle:
        return self.call_at(self._machine.now + delay, callback, *args, context=context)

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        if self._process.is_alive:
            self._count += 1
            heapq.heappush(self._timers, (when, self._count, handle))
            self._process.plan(when)
        return handle

    def create_future(self) -> "asyncio.Future[Any]":
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: str | None = None, context: Any = None) -> "asyncio.Task[Any]":
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, name=name, context=context)
        self._tasks.append(task)
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if self._process.is_alive and not isinstance(error, Died):
            self._machine.on_failure(self._process, f"{context.get('message')}: {error!r}")

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        pass


class ProcessClock:
    """The clock of a process, which may be wrong; see `volant.kit.clock.Clock`."""

    def __init__(self, process: Process, *, wrong_by: float = 0.0) -> None:
        self._process = process
        self._wrong_by = timedelta(seconds=wrong_by)

    def now(self) -> datetime:
        return self._process.machine.utc() + self._wrong_by

    def call_at(self, when: datetime, callback: Callable[[], None]) -> asyncio.TimerHandle:
        seconds = (when - self.now()).total_seconds()
        return self._process.loop.call_later(max(0.0, seconds), callback)


class Pipe:
    """Carries things one way, in order, each a while after it was sent; a broken one carries nothing more."""

    def __init__(self, machine: Machine, deliver: Callable[[Any], object], *, slowest: float = 0.002) -> None:
        self._machine = machine
        self._deliver = deliver
        self._slowest = slowest
        self._is_open = True
        self.arrives_at = 0.0
        """When the last that was sent arrives."""

    def send(self, thing: Any) -> None:
        """Send it."""
        if self._is_open:
            delay = self._machine.random.random() * self._slowest
            self.arrives_at = max(self.arrives_at, self._machine.now + delay)
            self._machine.at(self.arrives_at, self._arrive, thing)

    def cut(self) -> None:
        """Lose what is under way and what is sent later."""
        self._is_open = False

    def _arrive(self, thing: Any) -> None:
        if self._is_open:
            self._deliver(thing)
