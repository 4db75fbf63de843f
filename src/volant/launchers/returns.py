"""Where zygotes and workers come that have lost their engine.

They connect to a socket of their own in the home, say who they are, and are handed on. That they are processes of this
user says the kernel; which process a worker is, too, and it must be the one that its zygote forked.
"""

import asyncio
import contextlib
import logging
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from volant.kit.framing import FrameError
from volant.kit.peers import peer_pid, peer_uid
from volant.launchers.framed_socket import FramedSocket
from volant.model.ids import AttemptKey
from volant.model.worker_protocol import WORKER_PROTOCOL_VERSION, Returned, WorkerReturned, ZygoteReturned

log = logging.getLogger("volant.engine")

_BACKLOG = 1024
_decode = msgspec.msgpack.Decoder(Returned).decode


class Returns:
    """Listens on a path, on the running loop, until it is closed."""

    def __init__(
        self,
        path: Path,
        *,
        zygote: Callable[[ZygoteReturned, int, FramedSocket], bool],
        worker: Callable[[AttemptKey, int, FramedSocket], bool],
    ) -> None:
        """*zygote* and *worker* get whoever returned, with the number of its process; they say whether it is wanted.

        Raises:
            OSError: nobody can listen there.
        """
        self._zygote = zygote
        self._worker = worker
        self._strangers: set[FramedSocket] = set()
        self._loop = asyncio.get_running_loop()
        self._path = path
        path.unlink(missing_ok=True)
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._sock.setblocking(False)
            self._sock.bind(str(path))
            path.chmod(0o600)
            self._sock.listen(_BACKLOG)
        except BaseException:
            self._sock.close()
            raise
        self._loop.add_reader(self._sock.fileno(), self._accept)

    def close(self) -> None:
        """Listen no more."""
        self._loop.remove_reader(self._sock.fileno())
        self._sock.close()
        self._path.unlink(missing_ok=True)
        for connection in list(self._strangers):
            connection.close()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._sock.accept()
            except BlockingIOError:
                return
            except OSError as error:
                log.warning("somebody who returns cannot be heard: %s", error)
                return
            self._greet(sock)

    def _greet(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if peer_uid(sock) == os.getuid():
                self._hear(sock, peer_pid(sock))
                return
        sock.close()

    def _hear(self, sock: socket.socket, pid: int | None) -> None:
        def heard(bodies: list[bytes]) -> None:
            self._heard(connection, pid, bodies)

        def left(error: FrameError | None) -> None:
            self._left(connection, error)

        connection = FramedSocket(sock, on_frames=heard, on_end=left)
        self._strangers.add(connection)

    def _left(self, connection: FramedSocket, _error: FrameError | None) -> None:
        self._strangers.discard(connection)

    def _heard(self, connection: FramedSocket, pid: int | None, bodies: list[bytes]) -> None:
        self._strangers.discard(connection)
        try:
            message = _decode(bodies[0])
        except msgspec.MsgspecError as error:
            log.warning("process %s returned and does not speak the protocol: %s", pid, error)
            connection.close()
            return
        if message.protocol != WORKER_PROTOCOL_VERSION or not self._hand_on(message, pid, connection):
            connection.close()
        elif len(bodies) > 1:
            connection.deliver(bodies[1:])

    def _hand_on(self, message: ZygoteReturned | WorkerReturned, pid: int | None, connection: FramedSocket) -> bool:
        # Where the kernel does not say who it is, its word must do: it is this user's.
        pid = message.pid if pid is None and sys.platform != "linux" else pid
        if pid is None:
            return False
        if isinstance(message, ZygoteReturned):
            return self._zygote(message, pid, connection)
        return self._worker(message.attempt_key, pid, connection)
