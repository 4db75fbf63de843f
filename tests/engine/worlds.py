"""An engine with a journal and scripted attempts, and clients that speak its protocol byte by byte."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import msgspec

from volant.decide.placement import Capacity
from volant.engine.engine import Engine, Inputs, Submission
from volant.engine.service import InlineClient, Service, ServiceParts
from volant.journal.sole_leases import SoleLeases
from volant.journal.sqlite.journal import SqliteJournal
from volant.kit.clock import LoopClock
from volant.kit.framing import FrameReader, frame
from volant.launchers.inline import InlineLauncher
from volant.model.code import CodeSource
from volant.model.control_protocol import (
    CONTROL_PROTOCOL_VERSION,
    ClientToEngine,
    EngineStatus,
    EngineToClient,
    Hello,
    RunEvents,
    RunOptions,
    SubmitRun,
)
from volant.model.ids import RunId
from volant.model.payloads import Inline
from volant.model.phases import ActionPhase
from volant.model.records import Change, RunRecord
from volant.model.worker_protocol import EngineToWorker, RunContext
from volant.ports.journal import Journal
from volant.ports.launcher import Launcher, LauncherEvents
from volant.ports.leases import Leases
from volant.testing.scripted_launcher import Script, ScriptedLauncher, encoded, scripted_id, scripted_spec

CODE = CodeSource(interpreter="python", package_root="", sys_path=(), cwd="/", digest="")
PATIENCE = 60.0
"""Seconds; nothing here takes a tenth of it unless it hangs."""


class World:
    """An engine, its journal, its launcher and its face."""

    def __init__(
        self, folder: Path, journal: Journal, scripts: dict[str, Script], cpu: int, leases: Leases | None = None
    ) -> None:
        self.journal = journal
        self.launcher = ScriptedLauncher(scripts)
        self.broken: list[BaseException] = []
        self.given_up: list[RunId] = []
        self.stopped = asyncio.Event()
        self.socket = folder / "s.sock"
        self.service: Service
        self.engine = Engine(
            journal=journal,
            clock=LoopClock(),
            capacity=Capacity(cpu=cpu, memory=0),
            host="here",
            log_folder=lambda run: f"logs/{run}",
            on_committed=self._committed,
            on_broken=self.broken.append,
            on_given_up=self._given_up,
        )
        self.launcher.events = self.engine
        self.service = Service(
            ServiceParts(
                engine=self.engine,
                journal=journal,
                leases=leases or SoleLeases(journal, owner="engine"),
                clock=LoopClock(),
                local=self.launcher,
                inline=partial(_inline, self.engine),
                status=_no_status,
                stop=self.stopped.set,
                until_gone=_at_once,
                home=str(folder),
                blobs="file:///nowhere",
                version="1",
                engine_name="engine",
                pid=1,
                uid=os.getuid(),
            )
        )

    def _committed(self, run: RunId, changes: Sequence[Change]) -> None:
        self.service.committed(run, changes)

    def _given_up(self, run: RunId, error: BaseException) -> None:
        self.given_up.append(run)
        self.service.given_up(run, error)

    async def run(self, task: str, *, name: str = "r", retries: int = 0, at_once: int | None = None) -> RunRecord:
        await self.submit(task, name=name, retries=retries, at_once=at_once)
        await self.engine.until_ended(RunId(name))
        record = await self.journal.run(RunId(name))
        assert record is not None
        return record

    async def submit(
        self,
        task: str,
        *,
        name: str = "r",
        retries: int = 0,
        launcher: Launcher | None = None,
        grace: float = 5.0,
        at_once: int | None = None,
    ) -> None:
        digest, body = encoded(scripted_spec(task, retries=retries))
        now = datetime.now(UTC)
        record = RunRecord(run=RunId(name), task=task, root=scripted_id(task), phase=ActionPhase.QUEUED, created_at=now)
        context = RunContext(run=RunId(name), mode="local", created_at=now, raw_data_path="", home="", blobs="")
        await self.engine.submit(
            Submission(
                record=record,
                spec=digest,
                spec_body=body,
                context=context,
                code=CODE,
                options=RunOptions(grace_period=grace, max_action_concurrency=at_once),
                environ={},
                inputs=Inputs(payload=Inline(data=b""), digest="d"),
            ),
            launcher or self.launcher,
        )


class Peer:
    """A client on the engine's socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._frames = FrameReader()
        self._heard: list[EngineToClient] = []

    @classmethod
    async def connect(cls, world: World, *, greet: bool = True) -> "Peer":
        peer = cls(*await asyncio.open_unix_connection(str(world.socket)))
        if greet:
            peer.say(Hello(protocol=CONTROL_PROTOCOL_VERSION, version="1", pid=2))
            await peer.hear()
        return peer

    def say(self, message: ClientToEngine) -> None:
        self.writer.write(frame(msgspec.msgpack.encode(message)))

    async def hear(self) -> EngineToClient:
        """The next message.

        Raises:
            EOFError: the engine ended the conversation.
        """
        while not self._heard:
            piece = await asyncio.wait_for(self.reader.read(1 << 20), PATIENCE)
            if not piece:
                raise EOFError
            self._heard += [msgspec.msgpack.decode(body, type=EngineToClient) for body in self._frames.feed(piece)]
        return self._heard.pop(0)

    async def ask(self, message: ClientToEngine) -> EngineToClient:
        """Its answer; events that come before it are dropped."""
        self.say(message)
        while isinstance(found := await self.hear(), RunEvents):
            pass
        return found

    async def until_closed(self) -> list[EngineToClient]:
        """What the engine still says before it ends the conversation."""
        said: list[EngineToClient] = []
        try:
            while True:
                said.append(await self.hear())
        except (EOFError, ConnectionError):
            return said

    async def leave(self) -> None:
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except ConnectionError:
            return


def submission(task: str, *, name: str | None, mode: str = "local", retries: int = 0, grace: float = 5.0) -> SubmitRun:
    digest, body = encoded(scripted_spec(task, retries=retries))
    return SubmitRun(
        request=1,
        spec=digest,
        spec_body=body,
        inputs=Inline(data=b""),
        inputs_digest="d",
        code=CODE,
        options=RunOptions(name=name, mode=mode, grace_period=grace),
        environ={},
        watch=False,
    )


@asynccontextmanager
async def world(
    folder: Path, *, cpu: int = 2000, journal: Journal | None = None, leases: Leases | None = None, **scripts: Script
) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        if journal is None:
            journal = await SqliteJournal.open(folder / "journal.db")
        stack.push_async_callback(journal.close)
        found = World(folder, journal, scripts, cpu, leases)
        stack.push_async_callback(found.launcher.close)
        stack.push_async_callback(found.engine.close)
        found.socket.unlink(missing_ok=True)
        server = await asyncio.get_running_loop().create_unix_server(found.service.accept, found.socket)
        stack.callback(server.close)
        yield found
        for client in list(found.service.clients):
            client.close()


def play(
    folder: Path,
    scenario: Callable[[World], Awaitable[None]],
    *,
    journal: Callable[[], Journal] | None = None,
    breaks: bool = False,
    **scripts: Script,
) -> None:
    """Run a scenario in a world of its own; *breaks* says that its journal is expected to refuse."""

    async def body() -> None:
        async with world(folder, journal=None if journal is None else journal(), **scripts) as found:
            await asyncio.wait_for(scenario(found), PATIENCE)
            assert bool(found.broken) == breaks

    asyncio.run(body())


def _inline(events: LauncherEvents, send: Callable[[tuple[EngineToWorker, ...]], None], pid: int) -> InlineClient:
    launcher = InlineLauncher(events=events, send=send, pid=pid)
    return InlineClient(launcher=launcher, heard=launcher.heard, gone=launcher.client_gone)


async def _at_once(_engine: str) -> None:
    return


def _no_status(request: int) -> EngineStatus:
    raise AssertionError(request)
