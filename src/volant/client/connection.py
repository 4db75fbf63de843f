"""One conversation with the engine: numbered requests, their answers, and the events of watched runs."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from volant.client.starting import EngineStart
from volant.kit.disks import is_disk_full
from volant.kit.framing import FrameError, FrameReader, frame
from volant.kit.version import VERSION
from volant.model import errors
from volant.model.control_protocol import (
    CONTROL_PROTOCOL_VERSION,
    ClientToEngine,
    Done,
    EngineToClient,
    FromInline,
    Hello,
    Refused,
    RunEvents,
    StopEngine,
    ToInline,
    Unwatch,
    WatchRun,
    Welcome,
)
from volant.model.errors import EngineError, EngineGoneError, EngineVersionError, VolantError
from volant.model.ids import RunId
from volant.model.worker_protocol import EngineToWorker, WorkerToEngine

A = TypeVar("A", bound=msgspec.Struct)

_FIRST_PAUSE = 0.002
_LONGEST_PAUSE = 0.02
_MAKING_ROOM = 2.0
"""Seconds that an engine of another version may take to leave."""
_RESTART_AFTER = 0.2
"""Seconds without a listener after which a lock that somebody held is tried again."""


class Connection:
    """A conversation with an engine that has said `Welcome`. It belongs to one event loop.

    When the engine goes away every pending and later call raises `EngineGoneError`.
    """

    def __init__(self, protocol: "_Stream", welcome: Welcome, home: Path) -> None:
        self._stream = protocol
        self._encoder = protocol.encoder
        self._numbers = 0
        self.welcome = welcome
        self.home = home
        protocol.gone_message = f"the engine of {home} (process {welcome.pid}) went away"

    async def ask(self, make: Callable[[int], ClientToEngine], answer: type[A]) -> A:
        """Send the request that *make* gives for a number, and wait for its answer.

        Raises:
            EngineGoneError: the engine went away; what was asked may or may not have been done.
            VolantError: the engine refused, with the error that it named.
        """
        number = self._number()
        future = self._stream.expect(number)
        try:
            self._stream.send(make(number))
            found = await future
        finally:
            self._stream.forget(number)
        return _checked(found, answer)

    async def watch(self, run: RunId, *, after: int = 0, asked: bool = False) -> AsyncIterator[RunEvents]:
        """The committed changes of *run*, then new ones, until the run has ended.

        *asked* says that the engine was told already: it came with the submission.
        """
        queue = self._stream.events_of(run)
        number = self._number() if not asked else None
        ended = False
        try:
            if number is not None:
                # The answer by number matters only when it is a refusal; events come by the run's name.
                self._stream.expect(number).add_done_callback(lambda done: _put_refusal(done, queue))
                self._stream.send(WatchRun(request=number, run=run, after=after))
            while not ended:
                event = await queue.get()
                if isinstance(event, BaseException):
                    raise event
                ended = event.ended is not None
                yield event
        finally:
            self._stream.drop_events(run)
            if number is not None:
                self._stream.forget(number)
            if not ended and not self._stream.is_closed:
                self._stream.send(Unwatch(request=self._number(), run=run))

    def listen_inline(self, receive: Callable[[Sequence[EngineToWorker]], None]) -> None:
        """Give *receive* what the engine tells the worker in this process."""
        self._stream.receive_inline = receive

    def tell_inline(self, messages: Sequence[WorkerToEngine]) -> None:
        """Tell the engine what the worker in this process says."""
        self._stream.send(FromInline(messages=tuple(messages)))

    @property
    def is_closed(self) -> bool:
        """Whether either side has ended it."""
        return self._stream.is_closed

    @property
    def gone(self) -> "asyncio.Future[None]":
        """Done when the conversation has ended."""
        return self._stream.gone

    async def close(self) -> None:
        """End the conversation; what was sent still goes out."""
        await self._stream.close()

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers


async def connect(start: EngineStart, *, timeout: float) -> Connection:
    """Talk to the engine of a home, waiting at most *timeout* seconds for it to listen.

    An idle engine of another protocol version is told to stop and replaced.

    Raises:
        EngineError: it did not start; the message has the tail of its log.
        EngineVersionError: a busy engine of another version owns the home. Nothing was changed.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    pause = _FIRST_PAUSE
    unheard_since = loop.time()
    refused_since: float | None = None
    while True:
        reached = start.take_socket()
        if reached is not None:
            try:
                async with asyncio.timeout_at(deadline):
                    connection = await _greet(reached, start.home)
            except TimeoutError:
                msg = f"the engine of {start.home} accepted a connection and said nothing for {timeout:g} s"
                raise EngineError(
                    msg, hint="volant engine log shows what it is doing; engine.start_timeout is how long to wait"
                ) from None
            except EngineVersionError:
                # An idle engine makes room by itself, which takes it a moment; a busy one goes on refusing.
                refused_since = refused_since or loop.time()
                if loop.time() - refused_since > _MAKING_ROOM:
                    raise
                connection = None
            if connection is not None:
                return connection
            unheard_since = loop.time()
        if start.has_ended():
            if start.exit_code:
                _raise_not_started(start)
            # It lost the lock to an engine that starts now, or to one that is just leaving: then it is our turn.
            if loop.time() - unheard_since > _RESTART_AFTER or start.exit_code is None:
                start.start_process()
                unheard_since = loop.time()
        if loop.time() > deadline:
            _raise_too_slow(start, timeout)
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE)


async def connect_if_running(reached: socket.socket, home: Path) -> Connection:
    """Talk to the engine behind a socket that was reached; for questions that should not start one.

    Raises:
        EngineGoneError: it is just leaving.
    """
    connection = await _greet(reached, home)
    if connection is None:
        msg = f"the engine of {home} is just leaving"
        raise EngineGoneError(msg)
    return connection


async def _greet(reached: socket.socket, home: Path) -> Connection | None:
    """Say hello; None when the other side ended, or was ended so that another can take its place."""
    loop = asyncio.get_running_loop()
    try:
        _transport, stream = await loop.create_unix_connection(_Stream, sock=reached)
    except OSError:
        reached.close()
        return None
    answer = stream.expect(0)
    stream.send(Hello(protocol=CONTROL_PROTOCOL_VERSION, version=VERSION, pid=os.getpid()))
    try:
        found = await answer
        if isinstance(found, Welcome) and found.protocol == CONTROL_PROTOCOL_VERSION:
            return Connection(stream, found, home)
        if isinstance(found, Refused):
            raise _error_of(found)
        await _replace(stream, found, home)
    except EngineGoneError:
        await stream.close()
        return None
    except BaseException:
        await stream.close()
        raise
    return None


async def _replace(stream: "_Stream", found: EngineToClient, home: Path) -> None:
    """Ask an engine of another version to stop.

    Raises:
        EngineGoneError: it does; the home is free or about to be.
        EngineVersionError: it is busy.
    """
    answer = stream.expect(1)
    stream.send(StopEngine(request=1))
    replied = await answer
    if not isinstance(replied, Done):
        theirs = f"{found.version} (protocol {found.protocol})" if isinstance(found, Welcome) else "another version"
        reason = replied.message if isinstance(replied, Refused) else "it did not stop"
        msg = f"the engine of {home} is of {theirs}, this is {VERSION} (protocol {CONTROL_PROTOCOL_VERSION}), "
        msg += f"and it cannot be replaced now: {reason}"
        raise EngineVersionError(msg, hint="wait until its runs have ended, or use another home (VOLANT_HOME)")
    await stream.gone
    msg = f"the engine of {home} left to make room for this version"
    raise EngineGoneError(msg)


def _raise_not_started(start: EngineStart) -> None:
    log = start.read_log()
    msg = f"the engine of {start.home} ended with exit code {start.exit_code} while it started"
    if is_disk_full(start.home):
        msg += "; the disk is full"
        hint = f"make room on the disk of {start.home}, or choose another home with VOLANT_HOME"
        raise EngineError(f"{msg}:\n{log}" if log else msg, hint=hint)
    # Who was killed had no reason of its own; who ended by itself would do so again.
    kind = EngineGoneError if start.exit_code is not None and start.exit_code < 0 else EngineError
    raise kind(f"{msg}:\n{log}" if log else msg, hint="volant engine log shows all that it wrote")


def _raise_too_slow(start: EngineStart, timeout: float) -> None:
    log = start.read_log()
    msg = f"the engine of {start.home} did not listen within {timeout:g} s"
    raise EngineError(
        f"{msg}; it wrote:\n{log}" if log else msg,
        hint="volant engine log shows what it wrote; engine.start_timeout is how long to wait",
    )


def _checked(found: EngineToClient, answer: type[A]) -> A:
    if isinstance(found, Refused):
        raise _error_of(found)
    if not isinstance(found, answer):
        msg = f"the engine answered with {type(found).__name__}, wanted {answer.__name__}"
        raise EngineError(msg)
    return found


def _error_of(refused: Refused) -> VolantError:
    kind = getattr(errors, refused.error, None)
    if isinstance(kind, type) and issubclass(kind, VolantError):
        return kind(refused.message, hint=refused.hint)
    return EngineError(f"{refused.error}: {refused.message}", hint=refused.hint)


def _put_refusal(done: "asyncio.Future[EngineToClient]", queue: "asyncio.Queue[RunEvents | BaseException]") -> None:
    if done.cancelled() or done.exception() is not None:
        return  # the queue was told that the engine is gone
    found = done.result()
    if isinstance(found, Refused):
        queue.put_nowait(_error_of(found))


class _Stream(asyncio.Protocol):
    """Frames in, answers to whom they belong."""

    def __init__(self) -> None:
        self.encoder = msgspec.msgpack.Encoder()
        self._decoder: msgspec.msgpack.Decoder[EngineToClient] = msgspec.msgpack.Decoder(EngineToClient)
        self._reader = FrameReader()
        self._transport: asyncio.Transport | None = None
        self._answers: dict[int, asyncio.Future[EngineToClient]] = {}
        self._events: dict[RunId, asyncio.Queue[RunEvents | BaseException]] = {}
        self._loop = asyncio.get_running_loop()
        self.gone: asyncio.Future[None] = self._loop.create_future()
        self.gone_message = "the engine went away"
        self.receive_inline: Callable[[Sequence[EngineToWorker]], None] | None = None

    @property
    def is_closed(self) -> bool:
        return self.gone.done() or self._transport is None or self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        try:
            for body in self._reader.feed(data):
                self._take(self._decoder.decode(body))
        except (FrameError, msgspec.MsgspecError) as error:
            self.gone_message = f"what the engine said cannot be read: {error}"
            if self._transport is not None:
                self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.gone.done():
            self.gone.set_result(None)
        for future in list(self._answers.values()):
            if not future.done():
                future.set_exception(EngineGoneError(self.gone_message))
        for queue in self._events.values():
            queue.put_nowait(EngineGoneError(self.gone_message))

    def expect(self, number: int) -> "asyncio.Future[EngineToClient]":
        future: asyncio.Future[EngineToClient] = self._loop.create_future()
        self._answers[number] = future
        return future

    def forget(self, number: int) -> None:
        self._answers.pop(number, None)

    def events_of(self, run: RunId) -> "asyncio.Queue[RunEvents | BaseException]":
        # Events may arrive in the very bytes that bring the answer, before anyone asks for them: they wait.
        queue = self._events.get(run)
        if queue is None:
            queue = self._events[run] = asyncio.Queue()
            if self.gone.done():
                queue.put_nowait(EngineGoneError(self.gone_message))
        return queue

    def drop_events(self, run: RunId) -> None:
        self._events.pop(run, None)

    def send(self, message: ClientToEngine) -> None:
        if self.is_closed or self._transport is None:
            raise EngineGoneError(self.gone_message)
        self._transport.write(frame(self.encoder.encode(message)))

    async def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
        await self.gone

    def _take(self, message: EngineToClient) -> None:
        if isinstance(message, RunEvents):
            self.events_of(message.run).put_nowait(message)
        elif isinstance(message, ToInline):
            if self.receive_inline is not None:
                self.receive_inline(message.messages)
        else:
            number = 0 if isinstance(message, Welcome) else message.request
            future = self._answers.pop(number, None)
            if future is not None and not future.done():
                future.set_result(message)
