"""A stream socket on the engine's loop that carries frames, and file descriptors with them.

What is sent during one turn of the loop leaves in one system call.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable

from volant.kit.framing import FrameError, FrameReader, frame

_PIECE = 256 * 1024
_MAX_DESCRIPTORS = 200
"""Per system call; the kernel allows 253."""


class FramedSocket:
    """Non-blocking frames over a socket that this object owns."""

    def __init__(
        self,
        sock: socket.socket,
        *,
        on_frames: Callable[[list[bytes]], None],
        on_end: Callable[[FrameError | None], None],
    ) -> None:
        """*on_frames* gets what arrived together; *on_end* is called once, when the peer is gone, or sent what is no
        frame."""
        sock.setblocking(False)
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self._on_frames = on_frames
        self._on_end = on_end
        self._reader = FrameReader()
        self._outbox: list[tuple[bytes, int | None]] = []
        self._rest = b""
        self._is_open = True
        self._flushing = False
        self._blocked = False
        self._loop.add_reader(sock.fileno(), self._readable)

    @property
    def is_open(self) -> bool:
        """Whether the peer has not gone."""
        return self._is_open

    def hand_over(
        self, *, on_frames: Callable[[list[bytes]], None], on_end: Callable[[FrameError | None], None]
    ) -> None:
        """From now on somebody else listens. To be called from within `on_frames`, or before anything arrived."""
        self._on_frames = on_frames
        self._on_end = on_end

    def deliver(self, bodies: list[bytes]) -> None:
        """Give what came together with what was dealt with to whoever listens now."""
        self._on_frames(bodies)

    def send(self, body: bytes, *, descriptor: int | None = None) -> None:
        """Send one frame, and *descriptor* with it, which is closed here once it was sent."""
        if not self._is_open:
            if descriptor is not None:
                socket.close(descriptor)
            return
        self._outbox.append((frame(body), descriptor))
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def drain(self) -> None:
        """Read all that has arrived, without waiting for the loop to see it."""
        while self._is_open and self._read_once():
            pass

    def close(self) -> None:
        """Let go of the socket; `on_end` is not called."""
        if not self._is_open:
            return
        self._is_open = False
        fileno = self._sock.fileno()
        self._loop.remove_reader(fileno)
        if self._blocked:
            self._loop.remove_writer(fileno)
        self._sock.close()
        for _, descriptor in self._outbox:
            if descriptor is not None:
                socket.close(descriptor)
        self._outbox.clear()

    def _readable(self) -> None:
        self._read_once()

    def _read_once(self) -> bool:
        """Whether to try again."""
        try:
            piece = self._sock.recv(_PIECE)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            piece = b""
        if not piece:
            self.close()
            self._on_end(None)
            return False
        bodies: list[bytes] = []
        broken: FrameError | None = None
        try:
            bodies.extend(self._reader.feed(piece))
        except FrameError as error:
            broken = error
            self.close()
        if bodies:
            self._on_frames(bodies)
        if broken is not None:
            self._on_end(broken)
        return self._is_open

    def _flush(self) -> None:
        self._flushing = False
        if not self._is_open or self._blocked:
            return
        while self._is_open and (self._rest or self._outbox):
            if not self._send_some():
                self._blocked = True
                self._loop.add_writer(self._sock.fileno(), self._writable)
                return

    def _writable(self) -> None:
        self._blocked = False
        self._loop.remove_writer(self._sock.fileno())
        self._flush()

    def _send_some(self) -> bool:
        """Whether the kernel took anything."""
        if self._rest:
            data, descriptors, taken = self._rest, list[int](), 0
        else:
            data, descriptors, taken = self._next_piece()
        try:
            sent = socket.send_fds(self._sock, [data], descriptors) if descriptors else self._sock.send(data)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            # The peer is gone; the reading side notices and says so.
            self._rest = b""
            self._drop_outbox()
            return True
        # The descriptors went with the first byte, so what is left goes without them.
        self._rest = data[sent:]
        for descriptor in descriptors:
            with contextlib.suppress(OSError):
                socket.close(descriptor)
        del self._outbox[:taken]
        return True

    def _next_piece(self) -> tuple[bytes, list[int], int]:
        parts: list[bytes] = []
        descriptors: list[int] = []
        size = 0
        for data, descriptor in self._outbox:
            if descriptor is not None:
                if len(descriptors) == _MAX_DESCRIPTORS:
                    break
                descriptors.append(descriptor)
            parts.append(data)
            size += len(data)
            if size > _PIECE:
                break
        return b"".join(parts), descriptors, len(parts)

    def _drop_outbox(self) -> None:
        for _, descriptor in self._outbox:
            if descriptor is not None:
                with contextlib.suppress(OSError):
                    socket.close(descriptor)
        self._outbox.clear()
