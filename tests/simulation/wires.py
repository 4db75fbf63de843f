"""A client's connection to an engine: a transport as asyncio makes it, over the simulated network."""

import asyncio
import struct
from typing import Any

import msgspec

from tests.simulation.machine import Machine, Pipe, Process
from volant.kit.framing import FrameReader, frame
from volant.model.control_protocol import ClientToEngine, EngineToClient, RunAccepted, RunEvents

UID = 1000
_decode = msgspec.msgpack.Decoder(EngineToClient).decode
_encode = msgspec.msgpack.Encoder().encode


class Wire:
    """Both ends. The engine's is a `asyncio.Transport`; the client's are `say` and `heard`."""

    def __init__(self, machine: Machine, client: Process, engine: Process, *, laws: Any, slowest: float) -> None:
        self.heard: asyncio.Queue[EngineToClient | None] = asyncio.Queue()
        """What the engine said; None when the connection has ended."""
        self.is_open = True
        self._machine = machine
        self._client = client
        self.engine = engine
        self._laws = laws
        self._transport = _Transport(self)
        self._protocol: Any = None
        self._to_client = Pipe(machine, self._arrives_at_client, slowest=slowest)
        self._to_engine = Pipe(machine, self._arrives_at_engine, slowest=slowest)
        self._reader = FrameReader()
        self.unread = 0
        engine.on_death.append(self.end)
        client.on_death.append(self.end)

    def connect(self, protocol: Any) -> None:
        """The engine has accepted it; called on its loop."""
        if self.is_open:
            self._protocol = protocol
            protocol.connection_made(self._transport)

    def say(self, message: ClientToEngine) -> None:
        """From the client to the engine, in pieces."""
        data = frame(_encode(message))
        cut = self._machine.random.randrange(len(data))
        for piece in (data[:cut], data[cut:]):
            if piece:
                self._to_engine.send(piece)

    def end(self) -> None:
        """Both ends hear that it has ended; what is under way is lost."""
        if self.is_open:
            self.is_open = False
            self._to_client.cut()
            self._to_engine.cut()
            self._client.arrive(self.heard.put_nowait, None)
            if self._protocol is not None:
                self.engine.arrive(self._protocol.connection_lost, None)

    def write(self, data: bytes) -> None:
        """From the engine to the client."""
        self.engine.step()
        if not self.is_open:
            return
        messages = [_decode(body) for body in self._reader.feed(data)]
        for message in messages:
            match message:
                case RunEvents(run=run, changes=changes, ended=ended, outcome=outcome):
                    self._laws.tells_client(run, changes, ended, outcome)
                    if ended is not None:
                        self._machine.note(self.engine.name, f"tells {self._client.name}: {run} ended {ended.phase}")
                case RunAccepted(run=record):
                    self._laws.accepts(record.run)
                    self._machine.note(self.engine.name, f"tells {self._client.name}: {record.run} accepted")
                case _:
                    pass
        self.unread += len(data)
        self._to_client.send((len(data), messages))
        self.engine.step()

    def _arrives_at_client(self, sent: tuple[int, list[EngineToClient]]) -> None:
        size, messages = sent
        self.unread -= size
        for message in messages:
            self._client.arrive(self.heard.put_nowait, message)

    def _arrives_at_engine(self, piece: bytes) -> None:
        self.engine.arrive(self._feed, piece)

    def _feed(self, piece: bytes) -> None:
        if self.is_open and self._protocol is not None:
            self._protocol.data_received(piece)


class _Transport(asyncio.Transport):
    def __init__(self, wire: Wire) -> None:
        super().__init__()
        self._wire = wire

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return _Credentials() if name == "socket" else default

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return self._wire.unread

    def write(self, data: Any) -> None:
        self._wire.write(bytes(data))

    def is_closing(self) -> bool:
        return not self._wire.is_open

    def close(self) -> None:
        # What was said before it still arrives, as on a socket.
        self._wire._machine.after(0.01, self._wire.end)

    def abort(self) -> None:
        self._wire.end()

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


class _Credentials:
    """Says who is at the other end, as the kernel does."""

    def getsockopt(self, level: int, option: int, size: int) -> bytes:
        return struct.pack("=iII", 1, UID, UID) if size == 12 else struct.pack("=II", 0, UID)
