"""The engine's face: clients on the home's socket, their requests, and what they are told."""

import asyncio
import logging
import secrets
import socket
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import assert_never

import msgspec

from volant.decide.live import outcome_of
from volant.engine.engine import Engine, Inputs, Submission
from volant.engine.naming import new_run_name
from volant.engine.watching import Watcher
from volant.kit.clock import Clock
from volant.kit.framing import FrameError, FrameReader, frame
from volant.kit.peers import peer_uid
from volant.model.control_protocol import (
    CONTROL_PROTOCOL_VERSION,
    AbortRun,
    ActionDetails,
    ActionList,
    ClientToEngine,
    Done,
    EngineStatus,
    EngineToClient,
    FromInline,
    GetAction,
    GetRun,
    GetStatus,
    Hello,
    ListActions,
    ListRuns,
    Refused,
    RunAccepted,
    RunDetails,
    RunEvents,
    RunList,
    StopEngine,
    SubmitRun,
    ToInline,
    Unwatch,
    WatchRun,
    Welcome,
)
from volant.model.errors import (
    ActionNotFoundError,
    EngineError,
    RunNameTakenError,
    RunNotFoundError,
    VolantError,
)
from volant.model.ids import ActionId, RunId
from volant.model.phases import ActionPhase
from volant.model.records import Change, RunRecord
from volant.model.worker_protocol import EngineToWorker, Outcome, RunContext, WorkerToEngine
from volant.ports.journal import Journal, RunFilter
from volant.ports.launcher import Launcher

log = logging.getLogger("volant.engine")

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(ClientToEngine).decode
Request = (
    SubmitRun | WatchRun | Unwatch | AbortRun | GetRun | ListRuns | ListActions | GetAction | GetStatus | StopEngine
)
_MAX_UNREAD = 8 * 1024 * 1024
"""Bytes that a client may leave unread before it is told nothing more until it reads."""


class InlineClient(msgspec.Struct, frozen=True, kw_only=True):
    """The launcher that runs attempts in one client, and how it hears that client."""

    launcher: Launcher
    heard: Callable[[tuple[WorkerToEngine, ...]], None]
    gone: Callable[[], None]


class ServiceParts(msgspec.Struct, frozen=True, kw_only=True):
    """What the service is given by the wiring."""

    engine: Engine
    journal: Journal
    clock: Clock
    local: Launcher
    inline: Callable[[Callable[[tuple[EngineToWorker, ...]], None], int], InlineClient]
    status: Callable[[int], EngineStatus]
    """Answers `GetStatus` with this request number."""
    stop: Callable[[], None]
    home: str
    blobs: str
    version: str
    engine_name: str
    pid: int
    uid: int


class Service:
    """Accepts clients and keeps track of who watches what."""

    def __init__(self, parts: ServiceParts) -> None:
        self.parts = parts
        self.clients: set[Client] = set()
        self._watchers: dict[RunId, set[Watcher]] = {}

    def accept(self) -> "Client":
        """The protocol of a new connection."""
        return Client(self)

    def committed(self, run: RunId, changes: Sequence[Change]) -> None:
        """Changes of a run are durable: tell its watchers."""
        for watcher in self._watchers.get(run, ()):
            watcher.committed(changes)

    def watch(self, watcher: Watcher) -> None:
        self._watchers.setdefault(watcher.run, set()).add(watcher)

    def unwatch(self, watcher: Watcher) -> None:
        watcher.stop()
        watchers = self._watchers.get(watcher.run)
        if watchers is not None:
            watchers.discard(watcher)
            if not watchers:
                del self._watchers[watcher.run]


class Client(asyncio.Protocol):
    """One connection. Requests are answered in any order; each answer carries its request's number."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._parts = service.parts
        self._reader = FrameReader()
        self._transport: asyncio.Transport | None = None
        self._pid = 0
        self._greeted = False
        self._watchers: dict[RunId, Watcher] = {}
        self._inline: InlineClient | None = None
        self._inline_runs: set[RunId] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._can_write = asyncio.Event()
        self._can_write.set()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=_MAX_UNREAD)
        sock: socket.socket = transport.get_extra_info("socket")
        if peer_uid(sock) != self._parts.uid:
            log.warning("refused a connection from another user")
            transport.abort()
            return
        self._service.clients.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._service.clients.discard(self)
        for watcher in self._watchers.values():
            self._service.unwatch(watcher)
        self._watchers.clear()
        for task in self._tasks:
            task.cancel()
        if self._inline is not None:
            for run in self._inline_runs:
                self._parts.engine.abort(run, None, "the process that executed it inline went away")
            self._inline.gone()

    def pause_writing(self) -> None:
        self._can_write.clear()

    def resume_writing(self) -> None:
        self._can_write.set()

    def data_received(self, data: bytes) -> None:
        try:
            for body in self._reader.feed(data):
                self._heard(_decode(body))
        except (FrameError, msgspec.DecodeError, msgspec.ValidationError) as error:
            log.warning("a client (pid %d) does not speak the protocol: %s", self._pid, error)
            self.say(Refused(error="EngineVersionError", message=f"the engine does not understand this: {error}"))
            self.close()

    # What is said

    def say(self, message: EngineToClient) -> None:
        """Send one message."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(frame(_encode(message)))

    def close(self) -> None:
        """End the connection when what was said has been sent."""
        if self._transport is not None:
            self._transport.close()

    # What is heard

    def _heard(self, message: ClientToEngine) -> None:
        if not self._greeted:
            self._greet(message)
            return
        match message:
            case FromInline(messages=messages):
                if self._inline is not None:
                    self._inline.heard(messages)
            case Hello():
                self._greet(message)
            case _:
                task = asyncio.get_running_loop().create_task(self._answer(message))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    def _greet(self, message: ClientToEngine) -> None:
        parts = self._parts
        if isinstance(message, Hello):
            self._pid = message.pid
        if not isinstance(message, Hello) or message.protocol != CONTROL_PROTOCOL_VERSION:
            found = message.protocol if isinstance(message, Hello) else "unknown"
            busy = "" if parts.engine.is_idle else "; it is busy and cannot be replaced now"
            self.say(
                Refused(
                    error="EngineVersionError",
                    message=f"the engine (pid {parts.pid}, version {parts.version}) speaks protocol "
                    f"{CONTROL_PROTOCOL_VERSION}, this client speaks {found}{busy}",
                    hint="wait for its runs to end, or stop it with `volant engine stop`",
                )
            )
            if parts.engine.is_idle:
                parts.stop()
            self.close()
            return
        self._greeted = True
        self.say(
            Welcome(protocol=CONTROL_PROTOCOL_VERSION, version=parts.version, engine=parts.engine_name, pid=parts.pid)
        )

    async def _answer(self, message: Request) -> None:
        try:
            self.say(await self._do(message))
        except VolantError as error:
            refused = Refused(request=message.request, error=type(error).__name__, message=str(error), hint=error.hint)
            self.say(refused)
        except Exception as error:
            log.exception("request failed: %s", type(message).__name__)
            self.say(Refused(request=message.request, error="EngineError", message=f"the engine failed: {error!r}"))

    async def _do(self, message: Request) -> EngineToClient:
        match message:
            case SubmitRun():
                return await self._submit(message)
            case WatchRun(request=request, run=run, after=after):
                await self._run(run)
                self._watch(run, after)
                return Done(request=request)
            case Unwatch(request=request, run=run):
                watcher = self._watchers.pop(run, None)
                if watcher is not None:
                    self._service.unwatch(watcher)
                return Done(request=request)
            case AbortRun():
                return await self._abort(message)
            case GetRun(request=request, run=name):
                return await self._details(request, name)
            case ListRuns():
                return await self._list_runs(message)
            case ListActions(request=request, run=run, parent=parent, phases=phases, after=after, limit=limit):
                page = await self._parts.journal.actions(run, parent=parent, phases=phases, after=after, limit=limit)
                position = page[-1][0] if page else after
                return ActionList(request=request, actions=tuple([record for _, record in page]), position=position)
            case GetAction():
                return await self._action(message)
            case GetStatus(request=request):
                return self._parts.status(request)
            case StopEngine(request=request, abort_runs=abort_runs):
                return await self._stop(request, abort_runs=abort_runs)
            case _:
                assert_never(message)

    async def _submit(self, message: SubmitRun) -> RunAccepted:
        parts = self._parts
        options = message.options
        name = RunId(options.name) if options.name else await self._unused_name()
        # The journal is asked first: nothing may come between looking at the live runs and becoming one.
        if await parts.journal.run(name) is not None or name in parts.engine.runs:
            msg = f"a run named '{name}' exists already in this home"
            raise RunNameTakenError(msg, hint="leave the name out, or delete the other run")
        now = parts.clock.now()
        record = RunRecord(
            run=name,
            task=msgspec.msgpack.decode(message.spec_body)["task"],
            root=ActionId(secrets.token_hex(16)),
            phase=ActionPhase.QUEUED,
            created_at=now,
            mode=options.mode,
            labels=options.labels,
            annotations=options.annotations,
            options=_encode([msgspec.to_builtins(options), msgspec.to_builtins(message.code)]),
            bundle=message.code.digest,
            owner=parts.engine_name,
        )
        submission = Submission(
            record=record,
            spec=message.spec,
            spec_body=message.spec_body,
            context=self._context(name, now, message),
            code=message.code,
            options=options,
            environ=message.environ,
            inputs=Inputs(payload=message.inputs, digest=message.inputs_digest),
        )
        live = await parts.engine.submit(submission, self._launcher(name, options.mode))
        for warning in message.warnings:
            parts.engine.warn(live, warning)
        if message.watch:
            # The answer must be the first that the client hears of the run.
            asyncio.get_running_loop().call_soon(self._watch, name, 0)
        return RunAccepted(request=message.request, run=record)

    def _launcher(self, run: RunId, mode: str) -> Launcher:
        if mode != "inline":
            return self._parts.local
        if self._inline is None:
            self._inline = self._parts.inline(lambda messages: self.say(ToInline(messages=messages)), self._pid)
        self._inline_runs.add(run)
        return self._inline.launcher

    def _context(self, run: RunId, now: datetime, message: SubmitRun) -> RunContext:
        options = message.options
        return RunContext(
            run=run,
            mode=options.mode,
            created_at=now,
            raw_data_path=options.raw_data_path or f"{self._parts.home}/raw/{run}",
            custom_context=options.custom_context,
            home=self._parts.home,
            blobs=self._parts.blobs,
        )

    async def _unused_name(self) -> RunId:
        while True:
            name = new_run_name()
            if name not in self._parts.engine.runs and await self._parts.journal.run(name) is None:
                return name

    def _watch(self, run: RunId, after: int) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        old = self._watchers.pop(run, None)
        if old is not None:
            self._service.unwatch(old)

        def send(changes: tuple[Change, ...], ended: RunRecord | None, outcome: Outcome | None) -> None:
            self.say(RunEvents(run=run, changes=changes, ended=ended, outcome=outcome))

        watcher = Watcher(
            run=run,
            after=after,
            journal=self._parts.journal,
            live=self._parts.engine.runs.get,
            ended=self._ended,
            send=send,
            room=self._can_write.wait,
        )
        self._watchers[run] = watcher
        self._service.watch(watcher)

    async def _ended(self, run: RunId) -> tuple[RunRecord, Outcome | None]:
        record = await self._run(run)
        root = await self._parts.journal.action(run, record.root)
        return record, None if root is None else outcome_of(root)

    async def _run(self, run: RunId) -> RunRecord:
        record = await self._parts.journal.run(run)
        if record is None:
            msg = f"there is no run named '{run}' in this home"
            raise RunNotFoundError(msg, hint="`volant get runs` lists them")
        return record

    async def _named(self, name: str) -> RunRecord:
        record = await self._parts.journal.run(RunId(name))
        if record is not None:
            return record
        names = await self._parts.journal.matching_runs(name, limit=5)
        if len(names) == 1:
            return await self._run(names[0])
        if names:
            msg = f"'{name}' is the start of several runs: {', '.join(names)}"
            raise RunNotFoundError(msg, hint="give more of the name")
        return await self._run(RunId(name))

    async def _abort(self, message: AbortRun) -> Done:
        engine = self._parts.engine
        record = await self._named(message.run)
        if message.action is not None and (live := engine.runs.get(record.run)) is not None:
            if message.action not in live.machine.actions:
                msg = f"run '{record.run}' has no live action '{message.action}'"
                raise ActionNotFoundError(msg)
            engine.abort(record.run, message.action, message.reason)
            return Done(request=message.request)
        engine.abort(record.run, None, message.reason)
        await engine.until_ended(record.run)
        return Done(request=message.request)

    async def _details(self, request: int, name: str) -> RunDetails:
        record = await self._named(name)
        journal = self._parts.journal
        counts = await journal.count_actions(record.run)
        root = await journal.action(record.run, record.root)
        return RunDetails(
            request=request,
            run=record,
            counts={str(phase): count for phase, count in counts.items()},
            root_outputs=None if root is None else root.outputs,
            live=record.run in self._parts.engine.runs,
        )

    async def _list_runs(self, message: ListRuns) -> RunList:
        where = RunFilter(
            phases=message.phases,
            task=message.task,
            labels=tuple(message.labels.items()),
            since=message.since,
            before=message.before,
            limit=message.limit,
        )
        return RunList(request=message.request, runs=tuple(await self._parts.journal.runs(where)))

    async def _action(self, message: GetAction) -> ActionDetails:
        journal = self._parts.journal
        record = await self._named(message.run)
        action = await journal.action(record.run, ActionId(message.action))
        if action is None:
            msg = f"run '{record.run}' has no action '{message.action}'"
            raise ActionNotFoundError(msg, hint=f"`volant get run {record.run}` lists them")
        spec = await journal.spec(action.spec)
        return ActionDetails(
            request=message.request,
            action=action,
            attempts=tuple(await journal.attempts(record.run, action.action)),
            spec_body=b"" if spec is None else spec.body,
        )

    async def _stop(self, request: int, *, abort_runs: bool) -> Done:
        engine = self._parts.engine
        if not engine.is_idle:
            if not abort_runs:
                names = ", ".join(sorted(engine.runs))
                msg = f"the engine executes {len(engine.runs)} run(s): {names}"
                raise EngineError(msg, hint="abort them first, or stop it with --abort-runs")
            for run in list(engine.runs):
                engine.abort(run, None, "the engine was told to stop")
            await asyncio.gather(*(engine.until_ended(run) for run in list(engine.runs)))
        asyncio.get_running_loop().call_later(0.02, self._parts.stop)
        return Done(request=request)
