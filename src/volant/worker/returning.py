"""From an engine that is gone to the next one: how zygotes and workers find it, and what they say first.

The next engine listens in the same home. Until it does, connecting fails at once, so both try again and again. A zygote
tries between its other duties and gives up after the window; a worker has nothing else to do and leaves the giving up
to its zygote, which ends it.
"""

import os
import socket
import time
from collections import deque

import msgspec

from volant.kit.framing import FrameReader, frame
from volant.model.ids import AttemptKey
from volant.model.worker_protocol import (
    WORKER_PROTOCOL_VERSION,
    EngineToWorker,
    ForkedAttempt,
    ForkGone,
    PrepareZygote,
    Rejoining,
    Resync,
    StartAttempt,
    WorkerExited,
    WorkerReturned,
    ZygoteReturned,
)

_REMEMBERED = 512
"""Forks that are gone and of which an engine may not have taken note when it died."""
_RECENT = 1.0
"""Seconds after which it certainly has."""
_PAUSE = 0.02
"""Seconds between a zygote's tries."""
_SHORTEST_PAUSE = 0.01
"""Seconds between a worker's first two tries; doubled with each one."""
_LONGEST_PAUSE = 0.2

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(EngineToWorker).decode


def reach(path: str) -> socket.socket | None:
    """A connection to whoever listens there; None when nobody does."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(path)
    except OSError:
        connection.close()
        return None
    except BaseException:
        connection.close()
        raise
    return connection


def return_worker(rejoining: Rejoining, key: AttemptKey, *, zygote: int) -> socket.socket:
    """Block until an engine goes on with this attempt; the connection to it, on which it has said `Resync`."""
    pause = _SHORTEST_PAUSE
    while True:
        if os.getppid() != zygote:
            # Where the kernel did not end this process with its guardian.
            os._exit(1)
        connection = reach(rejoining.socket)
        if connection is not None:
            try:
                if _is_wanted(connection, key):
                    return connection
            except OSError:
                pass
            except BaseException:
                connection.close()
                raise
            connection.close()
        time.sleep(pause)
        pause = min(_LONGEST_PAUSE, pause * 2)


def _is_wanted(connection: socket.socket, key: AttemptKey) -> bool:
    hello = WorkerReturned(protocol=WORKER_PROTOCOL_VERSION, pid=os.getpid(), attempt_key=key)
    connection.sendall(frame(_encode(hello)))
    reader = FrameReader()
    while piece := connection.recv(4096):
        for body in reader.feed(piece):
            return isinstance(_decode(body), Resync)
    return False


class ZygoteReturn:
    """What a zygote keeps for the case that its engine dies, and its way to the next one. Instants are numbers of
    seconds on one monotonic clock, handed in."""

    def __init__(self, order: PrepareZygote, *, imported: bool, warning: str | None) -> None:
        self._rejoining = order.rejoining
        self._imported = imported
        self._warning = warning
        self._forks: dict[AttemptKey, ForkedAttempt] = {}
        self._gone: deque[tuple[float, ForkGone]] = deque(maxlen=_REMEMBERED)
        self._give_up_at: float | None = None

    @property
    def is_on_its_way(self) -> bool:
        """Whether it looks for an engine."""
        return self._give_up_at is not None

    def forked(self, start: StartAttempt, pid: int) -> None:
        """There is a worker for this attempt."""
        if self._rejoining is not None:
            self._forks[start.attempt_key] = ForkedAttempt(
                attempt_key=start.attempt_key,
                run=start.context.run,
                action=start.action,
                attempt=start.attempt,
                pid=pid,
            )

    def exited(self, ended: WorkerExited, now: float) -> None:
        """Nothing is left of one."""
        fork = self._forks.pop(ended.attempt_key, None)
        if fork is not None:
            self._gone.append((now, ForkGone(fork=fork, ended=ended)))

    def engine_is_gone(self, now: float) -> bool:
        """Whether there is something that the next engine would go on with: then look for it."""
        if self._rejoining is None or not (self._forks or self._has_news(now)):
            return False
        if self._give_up_at is None:
            self._give_up_at = now + self._rejoining.window
        return True

    def seconds_until_next_try(self) -> float | None:
        """When to call `look`; None: not now."""
        return None if self._give_up_at is None else _PAUSE

    def is_hopeless(self, now: float) -> bool:
        """Whether no engine came, or none will."""
        if self._rejoining is None or self._give_up_at is None:
            return False
        return now >= self._give_up_at or not os.path.isdir(self._rejoining.home)

    def look(self) -> socket.socket | None:
        """A connection to the next engine, to which everything was said; None while there is none."""
        if self._rejoining is None:
            return None
        connection = reach(self._rejoining.socket)
        if connection is None:
            return None
        returned = ZygoteReturned(
            protocol=WORKER_PROTOCOL_VERSION,
            pid=os.getpid(),
            rejoining=self._rejoining,
            imported=self._imported,
            warning=self._warning,
            forks=tuple(self._forks.values()),
            gone=tuple(gone for _, gone in self._gone),
        )
        try:
            connection.sendall(frame(_encode(returned)))
        except OSError:
            connection.close()
            return None
        self._give_up_at = None
        return connection

    def _has_news(self, now: float) -> bool:
        # One that leaves with code 0 has been answered, or hid its end from everybody.
        return any(now - at < _RECENT and gone.ended.exit_code != 0 for at, gone in self._gone)
