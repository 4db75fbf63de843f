"""Length-prefixed frames on a byte stream.

A frame is a 4-byte big-endian length and that many bytes. Frames may arrive in any pieces; `FrameReader`
puts them together and refuses absurd lengths, which mean a broken peer.
"""

import struct
from collections.abc import Iterable, Iterator

_LENGTH = struct.Struct(">I")
MAX_FRAME = 1 << 30


class FrameError(ValueError):
    """The stream is not made of frames."""


def frame(body: bytes) -> bytes:
    """One frame."""
    if len(body) > MAX_FRAME:
        msg = f"a frame of {len(body)} bytes is larger than the {MAX_FRAME} allowed"
        raise FrameError(msg)
    return _LENGTH.pack(len(body)) + body


def frames(bodies: Iterable[bytes]) -> bytes:
    """Several frames in one piece."""
    return b"".join([part for body in bodies for part in (_LENGTH.pack(len(body)), body)])


class FrameReader:
    """Collects pieces of a stream and gives back whole frames."""

    def __init__(self, *, limit: int = MAX_FRAME) -> None:
        """*limit*: bytes that a frame may have; it can be changed between frames."""
        self.limit = limit
        self._buffer = bytearray()

    @property
    def is_empty(self) -> bool:
        """Whether nothing of an unfinished frame is held."""
        return not self._buffer

    def rest(self) -> bytes:
        """What is held of an unfinished frame: fed to another reader, that one goes on from here."""
        return bytes(self._buffer)

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Take a piece of the stream; yields the frames that it completes, in order."""
        buffer = self._buffer
        buffer += piece
        start = 0
        end = len(buffer)
        try:
            while end - start >= 4:
                (length,) = _LENGTH.unpack_from(buffer, start)
                if length > self.limit:
                    msg = f"a frame announces {length} bytes, more than the {self.limit} allowed"
                    raise FrameError(msg)
                if end - start - 4 < length:
                    break
                body = bytes(buffer[start + 4 : start + 4 + length])
                start += 4 + length
                yield body
        finally:
            del buffer[:start]
