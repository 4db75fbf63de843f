"""An engine that says what a test tells it to, over a real socket in its own thread."""

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from volant.kit.framing import FrameReader, frame
from volant.kit.homes import prepare_home, socket_path
from volant.model.control_protocol import (
    CONTROL_PROTOCOL_VERSION,
    ClientToEngine,
    EngineToClient,
    Hello,
    Welcome,
)
from volant.model.ids import ActionId, RunId
from volant.model.phases import ActionPhase
from volant.model.records import Change, ChangeKind, RunRecord

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class Peer:
    """One client, as the fake sees it."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    def say(self, *messages: EngineToClient) -> None:
        """Send them in one write."""
        self._writer.write(b"".join(frame(msgspec.msgpack.encode(message)) for message in messages))

    def say_bytes(self, data: bytes) -> None:
        self._writer.write(data)

    def leave(self) -> None:
        self._writer.close()


Handler = Callable[[Peer, ClientToEngine], Awaitable[None] | None]


class FakeEngine:
    """Listens in *home* while it is entered. *handle* is called, on its loop, for every message after the greeting."""

    def __init__(self, home: Path, handle: Handler, *, protocol: int = CONTROL_PROTOCOL_VERSION, pid: int = 1) -> None:
        self.home = home
        self.heard: list[ClientToEngine] = []
        self.connections = 0
        self._handle = handle
        self._welcome = Welcome(protocol=protocol, version="0", engine="fake", pid=pid)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._ready = threading.Event()
        self._peers: set[asyncio.StreamWriter] = set()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    def __enter__(self) -> Self:
        prepare_home(self.home)
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Leave, as an engine does that was told to."""
        if self._loop is not None and self._stopping is not None and self._thread.is_alive():
            # It may have stopped from inside just now, and then its loop is closed.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(10)
        assert not self._thread.is_alive()

    def stop_from_inside(self) -> None:
        """As `stop`, for handlers."""
        assert self._stopping is not None
        self._stopping.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        path = socket_path(self.home)
        path.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(self._serve_client, path)
        self._ready.set()
        await self._stopping.wait()
        server.close()
        path.unlink(missing_ok=True)
        for writer in list(self._peers):
            writer.close()
        await asyncio.sleep(0)

    async def _serve_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._peers.add(writer)
        peer = Peer(writer)
        frames = FrameReader()
        decoder: Any = msgspec.msgpack.Decoder(ClientToEngine)
        try:
            while piece := await reader.read(65536):
                for body in frames.feed(piece):
                    message = decoder.decode(body)
                    self.heard.append(message)
                    if isinstance(message, Hello):
                        answer = self._greet(message)
                        peer.say(answer)
                        continue
                    done = self._handle(peer, message)
                    if done is not None:
                        await done
        except ConnectionError:
            pass
        finally:
            self._peers.discard(writer)
            writer.close()

    def _greet(self, message: Hello) -> EngineToClient:
        return self._welcome


def run_record(name: str = "r1", phase: ActionPhase = ActionPhase.RUNNING, **more: Any) -> RunRecord:
    """A run as an engine would tell it."""
    return RunRecord(run=RunId(name), task="env.main", root=ActionId("0" * 32), phase=phase, created_at=NOW, **more)


def change(seq: int, kind: ChangeKind = ChangeKind.WARNING, **more: Any) -> Change:
    """An entry of a feed."""
    values: dict[str, Any] = {"run": RunId("r1"), "at": NOW, "phase": ActionPhase.RUNNING, **more}
    return Change(seq=seq, kind=kind, **values)
