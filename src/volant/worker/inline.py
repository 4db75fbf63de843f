"""The calling process as the worker of every action: for debuggers, notebooks and unit tests.

Async functions run as asyncio tasks of the loop on which the engine is heard. Sync functions run on that loop's
thread, one on top of the other: while one waits for a call it turns the loop by hand, so that the engine is heard and
the function that it called is executed right there, on its stack. So that the stack is never deeper than the tree of
actions, only descendants of what waits are executed meanwhile; the others wait below and lend their CPU.

There is no process to kill. What the engine wants to end is cancelled: a coroutine as asyncio does it, a sync function
when it waits for a call.
"""

import asyncio
import contextlib
import contextvars
import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable, Generator, Sequence
from typing import Any, assert_never

from volant.authoring.session import current
from volant.model.errors import EngineError
from volant.model.ids import ActionId, AttemptKey
from volant.model.worker_protocol import (
    Aborted,
    Accepted,
    Acknowledged,
    AttemptFinished,
    CallRefused,
    ChildEnded,
    EndAttempt,
    EngineToWorker,
    Failed,
    Outcome,
    Resync,
    StartAttempt,
    WorkerToEngine,
)
from volant.ports.blobs import Blobs
from volant.worker.attempt import Attempt, KnownTasks
from volant.worker.calls import Call, Caller, Line, Settable, has_answer
from volant.worker.failing import AttemptFailure, failure_of
from volant.worker.loops import LoopInbox

_ABORTED = "cancelled by the engine"
_FRAMES_PER_LEVEL = 64
"""Of the interpreter's stack, for a sync action on top of another."""


class _Running:
    """An attempt in this process."""

    def __init__(self, start: StartAttempt) -> None:
        self.start = start
        self.caller = Caller(start.attempt_key)
        self.task: asyncio.Task[None] | None = None
        self.is_ended = False
        """Whether the engine asked for its end."""


class InlineHost:
    """Executes attempts in this process, on the loop that calls `receive`."""

    def __init__(self, send: Callable[[Sequence[WorkerToEngine]], None], *, open_blobs: Callable[[str], Blobs]) -> None:
        """*send* takes what the engine should hear; it is called on the loop's thread."""
        self._send = send
        self._open_blobs = open_blobs
        self.line = Line(self._write)
        self._loop = asyncio.get_running_loop()
        self._can_turn = hasattr(self._loop, "_run_once")
        """Whether the loop is of the kind that comes with Python, which can be turned by hand."""
        self._thread = threading.get_ident()
        self._known = KnownTasks()
        self._running: dict[AttemptKey, _Running] = {}
        self._by_action: dict[ActionId, _Running] = {}
        self._queue: deque[tuple[_Running, Attempt]] = deque()
        self._stack: list[_Running] = []
        self._flush_due = False
        self._is_interrupted = False
        """Whether the user wants the end of all this, which the engine is about to be told."""
        self._is_turned = False
        """Whether a loop that runs on top of ours is turning it."""
        self._owes_interrupt = False
        """Whether the interrupt came just then, and that loop has yet to be told."""
        self._idle = asyncio.Event()
        self._idle.set()
        self._inboxes: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, LoopInbox] = weakref.WeakKeyDictionary()
        self._turns: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Callable[[], None]] = (
            weakref.WeakKeyDictionary()
        )
        """How loops that run on top of ours turn it."""

    def receive(self, messages: Sequence[EngineToWorker]) -> None:
        """Take in what the engine says."""
        for message in messages:
            match message:
                case StartAttempt():
                    self._start(message)
                case ChildEnded() | CallRefused() | Acknowledged():
                    self.line.hear(message)
                case EndAttempt(attempt_key=key):
                    self._end(key)
                case Accepted() | Resync():
                    # There is no process that waits for the one, nor any that outlived its engine.
                    continue
                case _:
                    assert_never(message)

    def interrupt(self) -> None:
        """Ctrl-C: begin no sync function any more, and let those that wait for a call go on no longer.

        Whatever user code makes of the exception that it gets, nothing of the run succeeds from now on. To be followed
        by the abort of the run, or by `close`.
        """
        self._is_interrupted = True
        self._owes_interrupt = self._is_turned

    async def close(self) -> None:
        """Cancel what still runs and wait until it has ended."""
        for key in list(self._running):
            self._end(key)
        # The conversation is over: what nobody answers any more must not be waited for.
        self.line.break_off("the run has ended")
        await self._idle.wait()

    # Host

    def expect(self, call: Call, future: Settable) -> None:
        loop = asyncio.get_running_loop()
        call.wake = lambda: None if future.done() else future.set_result(None)
        inbox = self._inbox(loop)
        call.deliver = inbox.deliver
        inbox.touch(call.caller)

    def wait(self, *calls: Call) -> None:
        self.line.say_waiting(calls[0].caller)
        self.line.flush()
        if threading.get_ident() == self._thread:
            self._turn_until(calls)
            return
        answered = threading.Event()
        for call in calls:
            call.wake = answered.set
        if not has_answer(calls):
            answered.wait()

    # Attempts

    def _start(self, start: StartAttempt) -> None:
        running = _Running(start)
        self._running[start.attempt_key] = running
        self._by_action[start.action] = running
        self._idle.clear()
        self._known.learn(start)
        attempt = Attempt(start, host=self, caller=running.caller, open_blobs=self._open_blobs, known=self._known)
        try:
            attempt.prepare()
        except AttemptFailure as failed:
            self._finished(running, Failed(failure=failed.failure))
            return
        if attempt.is_async:
            running.task = self._loop.create_task(self._run_async(running, attempt))
        elif self._can_turn:
            self._queue.append((running, attempt))
            # Until its turn comes it needs no CPU, and others may be in need of it.
            self.line.say_waiting(running.caller)
            self._flush_soon()
            self._loop.call_soon(self._run_queued)
        else:
            # A loop that cannot be turned by hand must not be blocked.
            threading.Thread(target=self._run_in_thread, args=(running, attempt), daemon=True).start()

    def _end(self, key: AttemptKey) -> None:
        running = self._running.get(key)
        if running is None or running.is_ended:
            return
        running.is_ended = True
        if running.task is not None:
            running.task.cancel()
            return
        for item in self._queue:
            if item[0] is running:
                self._queue.remove(item)
                self._finished(running, Aborted(reason=_ABORTED))
                return

    def _finished(self, running: _Running, outcome: Outcome) -> None:
        key = running.start.attempt_key
        if (running.is_ended or self._is_interrupted) and not isinstance(outcome, Aborted):
            outcome = Aborted(reason=_ABORTED)
        self.line.end(running.caller)
        del self._running[key]
        if self._by_action.get(running.start.action) is running:
            del self._by_action[running.start.action]
        self.line.post(AttemptFinished(attempt_key=key, outcome=outcome))
        self._flush_soon()
        if not self._running:
            self._idle.set()

    async def _run_async(self, running: _Running, attempt: Attempt) -> None:
        self._inbox(self._loop).touch(running.caller)
        try:
            outcome = await attempt.run()
        except BaseException as exc:  # noqa: BLE001  # cancelled before it began
            outcome = Failed(failure=failure_of(exc))
        self._finished(running, outcome)

    def _run_in_thread(self, running: _Running, attempt: Attempt) -> None:
        current.set(attempt.session)
        outcome = attempt.run_blocking()
        self._loop.call_soon_threadsafe(self._finished, running, outcome)

    def _run_queued(self) -> None:
        """Execute what waits for this thread and may run on top of what is there."""
        item = self._next_queued()
        while item is not None:
            self._queue.remove(item)
            running, attempt = item
            self.line.say_working(running.caller)
            self._stack.append(running)
            try:
                with self._user_code():
                    outcome = contextvars.copy_context().run(_run_sync, attempt)
            finally:
                self._stack.pop()
            self._finished(running, outcome)
            item = self._next_queued()

    def _next_queued(self) -> tuple[_Running, Attempt] | None:
        if self._is_interrupted:
            return None
        for item in self._queue:
            if not self._stack or self._descends(item[0], self._stack[-1]):
                return item
        return None

    def _descends(self, running: _Running, ancestor: _Running) -> bool:
        parent = running.start.parent
        while parent is not None:
            if parent == ancestor.start.action:
                return True
            found = self._by_action.get(parent)
            parent = None if found is None else found.start.parent
        return False

    # Turning the loop by hand

    @contextlib.contextmanager
    def _user_code(self) -> Generator[None]:
        """Around sync user code: as far as it can see no loop runs in this thread, and the stack is not in use."""
        loop: Any = self._loop
        ready = loop._ready
        # The turn of the loop that led here goes on afterwards and expects to find at least these.
        expected = len(ready)
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(limit + _FRAMES_PER_LEVEL)
        asyncio._set_running_loop(None)
        try:
            yield
        finally:
            asyncio._set_running_loop(self._loop)
            sys.setrecursionlimit(limit)
            while len(ready) < expected:
                self._loop.call_soon(_nothing)

    def _turn_until(self, calls: Sequence[Call]) -> None:
        waiting = self._stack[-1]
        loop: Any = self._loop
        asyncio._set_running_loop(self._loop)
        try:
            self._loop.call_soon(self._run_queued)
            while not has_answer(calls):
                if waiting.is_ended or self._is_interrupted:
                    raise asyncio.CancelledError(_ABORTED)
                loop._run_once()
        finally:
            asyncio._set_running_loop(None)

    # Out

    def _inbox(self, loop: asyncio.AbstractEventLoop) -> LoopInbox:
        inbox = self._inboxes.get(loop)
        if inbox is None:
            inbox = self._inboxes[loop] = LoopInbox(loop, self.line)
            if loop is not self._loop and threading.get_ident() == self._thread and self._can_turn:
                self._be_turned_by(loop)
        return inbox

    def _be_turned_by(self, loop: asyncio.AbstractEventLoop) -> None:
        """A sync function runs a loop of its own on top of ours: while it does, that one turns ours."""
        ours: Any = self._loop
        timer: list[asyncio.TimerHandle] = []

        def turn() -> None:
            # Something is ready now, so that the turn does not wait.
            self._loop.call_soon(_nothing)
            asyncio._set_running_loop(self._loop)
            # Generators that begin now belong to our loop, and are not to be closed when the other one ends.
            theirs = sys.get_asyncgen_hooks()
            sys.set_asyncgen_hooks(ours._asyncgen_firstiter_hook, ours._asyncgen_finalizer_hook)
            self._is_turned = True
            try:
                ours._run_once()
            finally:
                self._is_turned = False
                sys.set_asyncgen_hooks(*theirs)
                asyncio._set_running_loop(loop)
            if self._owes_interrupt:
                self._owes_interrupt = False
                raise KeyboardInterrupt
            for late in timer:
                late.cancel()
            timer.clear()
            if ours._ready:
                loop.call_soon(turn)
            elif ours._scheduled:
                timer.append(loop.call_later(max(0.0, ours._scheduled[0].when() - self._loop.time()), turn))

        self._turns[loop] = turn
        # A selector can be watched like what it watches.
        loop.add_reader(ours._selector.fileno(), turn)
        loop.call_soon(turn)

    def _write(self, messages: Sequence[WorkerToEngine], _bodies: Sequence[bytes]) -> None:
        if threading.get_ident() == self._thread:
            self._say(messages)
        else:
            self._loop.call_soon_threadsafe(self._say, messages)

    def _say(self, messages: Sequence[WorkerToEngine]) -> None:
        with contextlib.suppress(EngineError):  # it went away, and who waits for the run is told
            self._send(messages)
        running = asyncio._get_running_loop()
        turn = None if running is None else self._turns.get(running)
        if running is not None and turn is not None:
            # What the sending left to do on our loop is not seen by the one that turns it.
            running.call_soon(turn)

    def _flush_soon(self) -> None:
        if not self._flush_due:
            self._flush_due = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_due = False
        self.line.flush()


def _run_sync(attempt: Attempt) -> Outcome:
    current.set(attempt.session)
    return attempt.run_blocking()


def _nothing() -> None:
    """Stands in the loop's queue for something that has run already."""
