"""Frames and descriptors over a non-blocking socket, in order, however the kernel cuts them."""

import array
import asyncio
import os
import socket
import struct

from volant.kit.framing import FrameError
from volant.launchers.framed_socket import FramedSocket


def read_frames(sock: socket.socket, count: int) -> tuple[list[bytes], list[int]]:
    """Read *count* frames and the descriptors that came with them, blocking."""
    sock.setblocking(True)
    data, descriptors, bodies = b"", [], []
    while len(bodies) < count:
        piece, ancillary, _, _ = sock.recvmsg(65536, socket.CMSG_SPACE(253 * 4))
        assert piece
        for _, _, raw in ancillary:
            found = array.array("i")
            found.frombytes(raw)
            descriptors += found
        data += piece
        while len(data) >= 4 and len(data) >= 4 + struct.unpack(">I", data[:4])[0]:
            (length,) = struct.unpack(">I", data[:4])
            bodies.append(data[4 : 4 + length])
            data = data[4 + length :]
    return bodies, descriptors


def test_frames_arrive_whole_and_in_order_though_the_peer_reads_slowly() -> None:
    sent = [bytes([n % 251]) * (n * 37 % 9000) for n in range(2000)]

    async def scenario() -> list[bytes]:
        ours, theirs = socket.socketpair()
        framed = FramedSocket(ours, on_frames=lambda _: None, on_end=lambda _: None)
        for body in sent:
            framed.send(body)
        bodies, _ = await asyncio.to_thread(read_frames, theirs, len(sent))
        framed.close()
        theirs.close()
        return bodies

    assert asyncio.run(scenario()) == sent


def test_more_descriptors_than_one_message_carries_arrive_in_order() -> None:
    async def scenario() -> None:
        ours, theirs = socket.socketpair()
        framed = FramedSocket(ours, on_frames=lambda _: None, on_end=lambda _: None)
        kept: list[int] = []
        for n in range(450):
            reading, writing = os.pipe()
            os.write(writing, str(n).encode())
            os.close(writing)
            framed.send(str(n).encode(), descriptor=reading)
        bodies, kept = await asyncio.to_thread(read_frames, theirs, 450)
        assert [os.read(descriptor, 10) for descriptor in kept] == bodies
        for descriptor in kept:
            os.close(descriptor)
        framed.close()
        theirs.close()

    asyncio.run(scenario())


def test_what_arrived_before_the_end_is_heard_before_it() -> None:
    async def scenario() -> list[object]:
        ours, theirs = socket.socketpair()
        heard: list[object] = []
        framed = FramedSocket(ours, on_frames=heard.extend, on_end=lambda _: heard.append("end"))
        theirs.sendall(struct.pack(">I", 3) + b"one" + struct.pack(">I", 3) + b"tw")
        theirs.sendall(b"o")
        theirs.close()
        framed.drain()
        framed.drain()
        return heard

    assert asyncio.run(scenario()) == [b"one", b"two", "end"]


def test_a_peer_that_is_gone_takes_descriptors_with_it() -> None:
    async def scenario() -> None:
        ours, theirs = socket.socketpair()
        ended = asyncio.Event()
        framed = FramedSocket(ours, on_frames=lambda _: None, on_end=lambda _: ended.set())
        theirs.close()
        await asyncio.wait_for(ended.wait(), 5)
        reading, writing = os.pipe()
        framed.send(b"late", descriptor=reading)
        os.close(writing)
        try:
            os.fstat(reading)
        except OSError:
            return
        raise AssertionError("the descriptor is still open")

    asyncio.run(scenario())


def test_what_is_no_frame_ends_the_conversation_after_what_was_one() -> None:
    async def scenario() -> None:
        ours, theirs = socket.socketpair()
        heard: list[object] = []
        framed = FramedSocket(ours, on_frames=heard.extend, on_end=heard.append)
        theirs.sendall(struct.pack(">I", 3) + b"one" + b"\xff" * 10)
        framed.drain()
        assert heard[0] == b"one"
        assert isinstance(heard[1], FrameError)
        assert len(heard) == 2
        assert not framed.is_open
        theirs.close()

    asyncio.run(scenario())
