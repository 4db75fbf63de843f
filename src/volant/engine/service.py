"""The engine's face: clients on the home's socket, their requests, and what they are told."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import timedelta
from functools import partial
from typing import assert_never

import msgspec

from volant.engine.ending import Endings
from volant.engine.engine import Engine
from volant.engine.lookups import Lookups
from volant.engine.naming import new_root
from volant.engine.owning import own
from volant.engine.resolving import resolve
from volant.engine.resuming import read_interrupted
from volant.engine.submitting import Submissions
from volant.engine.watching import Watcher
from volant.kit.clock import Clock
from volant.kit.framing import MAX_FRAME, FrameError, FrameReader, frame
from volant.kit.peers import peer_uid
from volant.model.control_protocol import (
    CONTROL_PROTOCOL_VERSION,
    AbortRun,
    ClientToEngine,
    DeleteRun,
    Done,
    EngineStatus,
    EngineToClient,
    FromInline,
    GetAction,
    GetRun,
    GetStatus,
    Hello,
    ListActions,
    ListInterrupted,
    ListRuns,
    ListSummaries,
    ListTasks,
    ListWorkers,
    Refused,
    ResumeRun,
    RunAccepted,
    RunEvents,
    RunList,
    StopEngine,
    SubmitRun,
    ToInline,
    Unwatch,
    WatchRun,
    Welcome,
)
from volant.model.errors import EngineError, JournalError, VolantError
from volant.model.ids import ActionId, RunId
from volant.model.records import Change, RunRecord
from volant.model.submissions import encode_submission, missing_variables
from volant.model.worker_protocol import EngineToWorker, ForkedAttempt, Outcome, WorkerToEngine
from volant.ports.journal import Journal
from volant.ports.launcher import Launcher
from volant.ports.leases import Leases

log = logging.getLogger("volant.engine")

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(ClientToEngine).decode
Request = (
    SubmitRun
    | ResumeRun
    | WatchRun
    | Unwatch
    | AbortRun
    | DeleteRun
    | GetRun
    | ListRuns
    | ListInterrupted
    | ListActions
    | ListSummaries
    | GetAction
    | ListTasks
    | ListWorkers
    | GetStatus
    | StopEngine
)
_LARGEST_HELLO = 64 * 1024
"""Bytes of the first frame."""
_UNGREETED = 10.0
"""Seconds that a client has to say who it is; until then it keeps an idle engine from leaving."""
_MAX_UNREAD = 8 * 1024 * 1024
"""Bytes that a client may leave unread before it is told nothing more until it reads."""


class InlineClient(msgspec.Struct, frozen=True, kw_only=True):
    """The launcher that runs attempts in one client, and how it hears that client."""

    launcher: Launcher
    heard: Callable[[tuple[WorkerToEngine, ...]], None]
    gone: Callable[[], None]


async def _no_survivors(_run: RunId) -> Sequence[ForkedAttempt]:
    return ()


async def _nothing_to_dismiss(_run: RunId) -> None:
    return


class ServiceParts(msgspec.Struct, frozen=True, kw_only=True):
    """What the service is given by the wiring."""

    engine: Engine
    journal: Journal
    leases: Leases
    """Which runs of the journal this engine may write."""
    clock: Clock
    local: Launcher
    inline: Callable[[Callable[[tuple[EngineToWorker, ...]], None], int], InlineClient]
    status: Callable[[int], EngineStatus]
    """Answers `GetStatus` with this request number."""
    stop: Callable[[], None]
    until_gone: Callable[[str], Awaitable[None]]
    """Returns when of what earlier engines, such as the one of this name, had started everything has come here or is
    gone; raises `EngineError` when that does not happen."""
    home: str
    blobs: str
    version: str
    engine_name: str
    pid: int
    uid: int
    shares_journal: bool = False
    """Whether engines of other homes write to the same journal."""
    journal_place: str = ""
    """For clients, who may expect another one."""
    new_root: Callable[[], ActionId] = new_root
    """Makes up the id of a root action."""
    survivors: Callable[[RunId], Awaitable[Sequence[ForkedAttempt]]] = _no_survivors
    """Attempts of a run that outlived its engine; they are the caller's from then on, to adopt or to end."""
    dismiss: Callable[[RunId], Awaitable[None]] = _nothing_to_dismiss
    """Ends those of a run with which nobody will go on."""


class Service:
    """Accepts clients and keeps track of who watches what."""

    def __init__(self, parts: ServiceParts) -> None:
        self.parts = parts
        self.lookups = Lookups(parts.journal, parts.engine, parts.leases)
        self.submissions = Submissions(
            engine=parts.engine,
            journal=parts.journal,
            clock=parts.clock,
            engine_name=parts.engine_name,
            home=parts.home,
            blobs=parts.blobs,
            resolve=partial(resolve, lookups=self.lookups, check=self._check_blobs),
            new_root=parts.new_root,
        )
        self._settling = asyncio.Lock()
        """One at a time goes on with, ends or deletes a run that nobody executes."""
        self.endings = Endings(
            engine=parts.engine,
            journal=parts.journal,
            leases=parts.leases,
            lookups=self.lookups,
            clock=parts.clock,
            settling=self._settling,
            home=parts.home,
            dismiss=parts.dismiss,
        )
        self.clients: set[Client] = set()
        self._watchers: dict[RunId, dict[Watcher, None]] = {}
        """In the order in which they came."""
        self._told_interrupted: set[RunId] = set()
        self._has_news = True
        """Whether a run may have been left that nobody was told of; with engines of other homes, always."""
        self._releasing: set[asyncio.Task[None]] = set()

    def accept(self) -> "Client":
        """The protocol of a new connection."""
        return Client(self)

    def committed(self, run: RunId, changes: Sequence[Change]) -> None:
        """Changes of a run are durable: tell its watchers."""
        for watcher in self._watchers.get(run, ()):
            watcher.committed(changes)

    def given_up(self, run: RunId, error: BaseException) -> None:
        """The engine does not execute a run any more: whoever watches it has to ask again."""
        for watcher in list(self._watchers.get(run, ())):
            watcher.give_up(error)

    def watch(self, watcher: Watcher) -> None:
        self._watchers.setdefault(watcher.run, {})[watcher] = None

    def unwatch(self, watcher: Watcher) -> None:
        watchers = self._watchers.get(watcher.run)
        if watchers is not None:
            watchers.pop(watcher, None)
            if not watchers:
                del self._watchers[watcher.run]

    async def check_watchable(self, run: RunId) -> None:
        """Make sure that the run has ended or will.

        Raises:
            RunNotFoundError: there is none of this name.
            EngineError: it has not ended, and no engine executes it.
        """
        # Asked in this order: a run that ends meanwhile was live.
        is_live = run in self.parts.engine.runs
        record = await self.lookups.run(run)
        if not is_live and await self.lookups.is_elsewhere(record):
            msg = f"run '{run}' is {record.phase}, and the engine of another home executes it"
            raise EngineError(msg, hint=f"watch it there; `volant get run {run}` shows here, too, how it stands")
        if not is_live and not record.phase.is_final:
            msg = f"run '{run}' was {record.phase} when the engine that executed it ended; nothing executes it now"
            raise EngineError(msg, hint=f"`volant resume {run}` goes on with it, `volant abort {run}` ends it")

    async def resume(self, run: RunId, message: ResumeRun) -> RunRecord:
        """Go on with a run whose engine is gone, as *message* asks; without effect on one that this engine executes.

        Of the run's own variables only the names were kept: it warns of those that it has no more.

        Raises:
            RunNotFoundError: there is none of this name.
            EngineError: it has ended, or something of its last engine is still alive.
        """
        parts = self.parts
        async with self._settling:
            record = await self.lookups.run(run)
            if run in parts.engine.runs:
                return record
            if record.phase.is_final:
                msg = f"run '{run}' cannot be resumed: it has ended, {record.phase}"
                raise EngineError(msg, hint=f"`volant get run {run}` shows how")
            self._check_blobs(record)
            before, record = record.owner, await own(parts.leases, record)
            try:
                if before != parts.engine_name:
                    await parts.until_gone(before)
                # It may have been lost to another, and have come back before all of it was gone here.
                await parts.engine.until_gone(run)
                survivors = await parts.survivors(run)
                interrupted = await read_interrupted(parts.journal, record, survivors)
                # Where attempts run changes no result, and the process that executed an inline run is gone.
                before_options, code = interrupted.options, message.code or interrupted.code
                options = msgspec.structs.replace(
                    before_options, mode="local", env_vars={**before_options.env_vars, **message.env_vars}
                )
                record = msgspec.structs.replace(
                    record,
                    owner=parts.engine_name,
                    mode=options.mode,
                    options=encode_submission(options, code),
                    bundle=code.digest,
                )
                interrupted = msgspec.structs.replace(interrupted, record=record, options=options, code=code)
                context = self.submissions.context(run, record.created_at, options)
                live = await parts.engine.resume(interrupted, parts.local, context=context, environ=message.environ)
                if warning := missing_variables(options, message.environ, hint="`volant resume --env NAME=VALUE`"):
                    parts.engine.warn(live, warning)
            except BaseException:
                if run not in parts.engine.runs:
                    await parts.leases.release(run)
                raise
            return record

    def leave(self, runs: Collection[RunId]) -> None:
        """The process that executed these runs inline is gone: unless they are being ended, they can be resumed."""
        engine = self.parts.engine
        for run in runs:
            if engine.is_ending(run):
                # What was under way ends with its process.
                continue
            engine.give_up(run, JournalError(f"the process that executed run '{run}' inline went away"))
            task = asyncio.get_running_loop().create_task(self._release(run))
            self._releasing.add(task)
            task.add_done_callback(self._releasing.discard)

    async def _release(self, run: RunId) -> None:
        await self.parts.engine.until_gone(run)
        async with self._settling:
            # Unless somebody has gone on with it meanwhile.
            if run not in self.parts.engine.runs:
                with contextlib.suppress(JournalError):
                    await self.parts.leases.release(run)
                    self._has_news = True

    def _check_blobs(self, record: RunRecord) -> None:
        # A home that is alone with its journal may have been moved, blobs and all.
        parts = self.parts
        if parts.shares_journal and record.blobs and record.blobs != parts.blobs:
            msg = f"run '{record.run}' has its large values in {record.blobs}, this home has them in {parts.blobs}"
            raise EngineError(msg, hint="give homes that share a database the same blobs (setting blobs, VOLANT_BLOBS)")

    async def news_of_interrupted(self) -> tuple[RunId, ...]:
        """Runs that nobody executes and that this has not told before."""
        if not self._has_news and self.parts.leases.duration == timedelta.max:
            return ()
        self._has_news = False
        found = [record.run for record in await self.interrupted()]
        news = tuple(run for run in found if run not in self._told_interrupted)
        # One that somebody went on with may be left again.
        self._told_interrupted = set(found)
        return news

    async def interrupted(self) -> list[RunRecord]:
        """Runs that have not ended and that no engine executes, oldest first."""
        orphaned = [run for run in await self.parts.leases.reap() if run not in self.parts.engine.runs]
        return sorted([await self.lookups.run(run) for run in orphaned], key=lambda record: record.created_at)


class Client(asyncio.Protocol):
    """One connection. Requests are answered in any order; each answer carries its request's number."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._parts = service.parts
        self._reader = FrameReader(limit=_LARGEST_HELLO)
        self._transport: asyncio.Transport | None = None
        self._pid = 0
        self._greeted = False
        self._watchers: dict[RunId, Watcher] = {}
        self._inline: InlineClient | None = None
        self._inline_runs: set[RunId] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._silence: asyncio.TimerHandle | None = None
        """Ends the connection of a client that does not say who it is."""
        self._can_write = asyncio.Event()
        self._can_write.set()

    @property
    def unread(self) -> int:
        """Bytes that were said and not read."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    @property
    def watched(self) -> int:
        """Runs whose end it has yet to be told."""
        return len(self._watchers)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=_MAX_UNREAD)
        sock: socket.socket = transport.get_extra_info("socket")
        try:
            uid = peer_uid(sock)
        except OSError:
            # It is gone again, or the platform does not say who it is.
            uid = None
        if uid != self._parts.uid:
            log.warning("refused a connection from user %s", uid)
            transport.abort()
            return
        self._service.clients.add(self)
        self._silence = asyncio.get_running_loop().call_later(_UNGREETED, self.close)

    def connection_lost(self, exc: Exception | None) -> None:
        self._service.clients.discard(self)
        for run in list(self._watchers):
            self._unwatch(run)
        if self._silence is not None:
            self._silence.cancel()
        for task in self._tasks:
            task.cancel()
        if self._inline is not None:
            self._service.leave(self._inline_runs)
            self._inline.gone()

    def pause_writing(self) -> None:
        self._can_write.clear()
        # Who does not read what it is told is not heard either: its questions would only add to it.
        if self._transport is not None and self._inline is None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._can_write.set()
        if self._transport is not None:
            self._transport.resume_reading()

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
        self._reader.limit = MAX_FRAME
        if self._silence is not None:
            self._silence.cancel()
        self.say(
            Welcome(
                protocol=CONTROL_PROTOCOL_VERSION,
                version=parts.version,
                engine=parts.engine_name,
                pid=parts.pid,
                journal=parts.journal_place,
                blobs=parts.blobs,
            )
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
            case ResumeRun(request=request, run=name):
                found = await self._service.lookups.named(name)
                return RunAccepted(request=request, run=await self._service.resume(found.run, message))
            case WatchRun(request=request, run=run, after=after):
                await self._service.check_watchable(run)
                self._watch(run, after)
                return Done(request=request)
            case Unwatch(request=request, run=run):
                self._unwatch(run)
                return Done(request=request)
            case AbortRun(request=request):
                await self._service.endings.abort(message)
                return Done(request=request)
            case DeleteRun(request=request):
                await self._service.endings.delete(message)
                return Done(request=request)
            case GetRun(request=request, run=name):
                return await self._service.lookups.details(request, name)
            case ListRuns():
                return await self._service.lookups.runs(message)
            case ListInterrupted(request=request):
                return RunList(request=request, runs=tuple(await self._service.interrupted()))
            case ListActions():
                return await self._service.lookups.actions(message)
            case GetAction():
                return await self._service.lookups.action(message)
            case ListSummaries():
                return await self._service.lookups.summaries(message)
            case ListTasks():
                return await self._service.lookups.tasks(message)
            case ListWorkers():
                return self._service.lookups.workers(message)
            case GetStatus(request=request):
                return self._parts.status(request)
            case StopEngine(request=request, abort_runs=abort_runs):
                await self._service.endings.stop(abort_runs=abort_runs, leave=self._parts.stop)
                return Done(request=request)
            case _:
                assert_never(message)

    async def _submit(self, message: SubmitRun) -> RunAccepted:
        live = await self._service.submissions.submit(message, self._launcher)
        interrupted = await self._service.news_of_interrupted() if message.shows else ()
        if message.watch:
            # The answer must be the first that the client hears of the run.
            asyncio.get_running_loop().call_soon(self._watch, live.run, 0)
        return RunAccepted(request=message.request, run=live.machine.record, interrupted=interrupted)

    def _launcher(self, run: RunId, mode: str) -> Launcher:
        if mode != "inline":
            return self._parts.local
        if self._inline is None:
            self._inline = self._parts.inline(lambda messages: self.say(ToInline(messages=messages)), self._pid)
        live = self._parts.engine.runs
        self._inline_runs = {run, *(other for other in self._inline_runs if other in live)}
        return self._inline.launcher

    def _watch(self, run: RunId, after: int) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        self._unwatch(run)

        def send(changes: tuple[Change, ...], ended: RunRecord | None, outcome: Outcome | None) -> None:
            self.say(RunEvents(run=run, changes=changes, ended=ended, outcome=outcome))

        watcher = Watcher(
            run=run,
            after=after,
            journal=self._parts.journal,
            live=self._parts.engine.runs.get,
            ended=self._service.lookups.end,
            send=send,
            room=self._can_write.wait,
            done=self._watched,
        )
        self._watchers[run] = watcher
        self._service.watch(watcher)

    def _unwatch(self, run: RunId) -> None:
        watcher = self._watchers.pop(run, None)
        if watcher is not None:
            watcher.stop()
            self._service.unwatch(watcher)

    def _watched(self, watcher: Watcher, error: BaseException | None) -> None:
        """A watcher has told the end, or failed."""
        if self._watchers.get(watcher.run) is watcher:
            del self._watchers[watcher.run]
        self._service.unwatch(watcher)
        if error is not None:
            # Events have no request that could be refused; whoever loses the connection asks again.
            log.error("run '%s' can no longer be watched: %s", watcher.run, error)
            self.close()
