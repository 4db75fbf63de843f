"""What a process needs to submit runs and to look at them: settings, an engine to talk to, a place for large values."""

import contextlib
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Protocol

from volant.client.connection import Connection, connect, connect_if_running
from volant.client.reporting import Reporter
from volant.client.starting import EngineStart, ensure_engine, reach_engine
from volant.model.control_protocol import Welcome
from volant.model.errors import EngineError, EngineGoneError
from volant.model.worker_protocol import EngineToWorker, WorkerToEngine
from volant.ports.blobs import Blobs
from volant.settings.loading import engine_environ
from volant.settings.masking import masked
from volant.settings.tree import Mode, Settings


class InlineWorker(Protocol):
    """Executes attempts in this process, on the loop that calls `receive`."""

    def receive(self, messages: Sequence[EngineToWorker]) -> None:
        """Take in what the engine says."""
        ...

    def interrupt(self) -> None:
        """Begin nothing more and let nothing succeed: the run is about to be aborted. From a signal handler."""
        ...

    async def close(self) -> None:
        """Cancel what still runs and wait until it has ended."""
        ...


InlineWorkers = Callable[[Callable[[Sequence[WorkerToEngine]], None]], InlineWorker]
"""Makes an inline worker that says what it has to say through the given function."""


class Client:
    """The way to the engine of one home. Made by `volant.wiring.client`; cheap, and shared by nobody."""

    def __init__(
        self,
        settings: Settings,
        *,
        blobs: Blobs,
        reporters: Callable[[Mode], Reporter],
        inline_workers: InlineWorkers,
        start: EngineStart | None = None,
        stores: Mapping[str, str] | None = None,
    ) -> None:
        """*stores* says by the names of settings where the journal and large values are expected."""
        self.settings = settings
        self._stores = stores or {}
        self.blobs = blobs
        self.new_reporter = reporters
        self.new_inline_worker = inline_workers
        self._start = start

    def start_engine(self) -> None:
        """Make sure that an engine is there or on its way; returns at once."""
        if self._start is not None:
            return
        self._start = ensure_engine(self.settings.home, engine_environ(self.settings))

    def let_engine_be(self) -> None:
        """Nothing will be asked after all; an engine that was started leaves by itself."""
        start, self._start = self._start, None
        if start is not None:
            start.close()

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncGenerator[Connection, None]:
        """A conversation with the engine, which is started when there is none."""
        connection = await self.connect()
        try:
            yield connection
        finally:
            await connection.close()

    async def connect(self) -> Connection:
        """As `connection`, for those who close it themselves.

        Raises:
            EngineError: also when it keeps the journal or large values elsewhere than the settings say.
        """
        start, self._start = self._start, None
        if start is None:
            start = ensure_engine(self.settings.home, engine_environ(self.settings))
        connection = await connect(start, timeout=self.settings.engine.start_timeout.total_seconds())
        try:
            self._check_stores(connection.welcome)
        except EngineError:
            await connection.close()
            raise
        return connection

    def _check_stores(self, welcome: Welcome) -> None:
        """An engine that keeps things elsewhere than this client's settings say would show, and lose, other runs."""
        for name, found in (("database", welcome.journal), ("blobs", welcome.blobs)):
            wanted = self._stores.get(name, found)
            if found and found != wanted:
                msg = f"the engine of {self.settings.home} started with {name} {masked(found)}, "
                msg += f"wanted {masked(wanted)} (from {self.settings.sources[name]})"
                raise EngineError(msg, hint="volant engine stop lets the next one heed the setting")

    @contextlib.asynccontextmanager
    async def running_connection(self) -> AsyncGenerator[Connection | None, None]:
        """A conversation with the engine if one runs, else None; starts nothing.

        Raises:
            EngineVersionError: a busy engine of another version runs.
        """
        reached = reach_engine(self.settings.home)
        try:
            connection = await connect_if_running(reached, self.settings.home) if reached is not None else None
        except EngineGoneError:
            connection = None
        try:
            yield connection
        finally:
            if connection is not None:
                await connection.close()
