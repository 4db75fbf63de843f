"""Attempts inside the client that submitted the run: for debuggers, notebooks and unit tests."""

import asyncio
from collections.abc import Callable, Collection, Sequence

from volant.model.exits import Exit
from volant.model.ids import AttemptKey
from volant.model.worker_protocol import AttemptFinished, EndAttempt, EngineToWorker, WorkerToEngine
from volant.ports.launcher import AttemptOrder, LauncherEvents


class InlineLauncher:
    """The launcher of mode `inline`, one per client; see `ports.launcher.Launcher` for its laws.

    There is no process to kill: ending an attempt asks the client to cancel it.
    """

    def __init__(self, *, events: LauncherEvents, send: Callable[[tuple[EngineToWorker, ...]], None], pid: int) -> None:
        self._events = events
        self._send = send
        self._pid = pid
        self._live: set[AttemptKey] = set()
        self._outbox: list[EngineToWorker] = []
        self._is_gone = False
        """Whether the client has left."""
        self._loop = asyncio.get_running_loop()

    def start(self, order: AttemptOrder) -> None:
        self._live.add(order.key)
        if self._is_gone:
            self._loop.call_soon(self._ended, order.key)
            return
        self._say(order.start)
        self._loop.call_soon(self._started, order.key)

    def adopt(self, key: AttemptKey) -> None:
        """The client that executed an attempt inline is gone with its engine, or has given the run up."""

    def tell(self, key: AttemptKey, message: EngineToWorker) -> None:
        if key in self._live:
            self._say(message)

    def end(self, key: AttemptKey, *, grace: float) -> None:
        if key in self._live:
            self._say(EndAttempt(attempt_key=key))

    def idle(self, keys: Collection[AttemptKey]) -> set[AttemptKey]:
        return set()

    async def close(self) -> None:
        self.client_gone()

    def heard(self, messages: Sequence[WorkerToEngine]) -> None:
        """The client speaks for its attempts; one that has finished has no process to wait for."""
        for message in messages:
            match message:
                case AttemptFinished(attempt_key=key):
                    self._events.attempt_said(key, [message])
                    self._ended(key)
                case _:
                    self._events.attempt_said(self._speaker(message), [message])

    def client_gone(self) -> None:
        """The client's process is gone or has left; so are its attempts."""
        self._is_gone = True
        for key in list(self._live):
            self._ended(key)
        # It leads back to what holds this launcher; nobody else would take the two apart for a long time.
        self._send = _unheard

    def _speaker(self, message: WorkerToEngine) -> AttemptKey:
        key = getattr(message, "attempt_key", None)
        if key is not None:
            return AttemptKey(key)
        # A spec belongs to the run, and so to any of its attempts.
        return next(iter(self._live), AttemptKey(0))

    def _ended(self, key: AttemptKey) -> None:
        if key in self._live:
            self._live.discard(key)
            self._events.attempt_gone(key, Exit())

    def _started(self, key: AttemptKey) -> None:
        if key in self._live:
            self._events.attempt_started(key, self._pid)

    def _say(self, message: EngineToWorker) -> None:
        if not self._outbox:
            self._loop.call_soon(self._flush)
        self._outbox.append(message)

    def _flush(self) -> None:
        outbox = tuple(self._outbox)
        self._outbox.clear()
        self._send(outbox)


def _unheard(_messages: tuple[EngineToWorker, ...]) -> None:
    """The client has left."""
