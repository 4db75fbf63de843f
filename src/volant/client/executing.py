"""Submitting a run and waiting for it, in the modes that this machine offers."""

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from types import FrameType
from typing import NamedTuple

from volant.bundle.archive import make_archive
from volant.bundle.code import user_code_digest
from volant.client.client import Client, InlineWorker
from volant.client.connection import Connection
from volant.client.reporting import Reporter, Silent
from volant.client.submission import Prepared, stored
from volant.client.watching import RunEnd, abort_when_left, watch_to_end
from volant.model.control_protocol import ClientToEngine, RunAccepted
from volant.model.ids import RunId
from volant.model.records import RunRecord
from volant.settings.tree import Mode

_MOST_NAMES = 3


class Executed(NamedTuple):
    """A run that was accepted; *end* is there when it was waited for."""

    run: RunRecord
    end: RunEnd | None


async def execute(client: Client, prepared: Prepared, *, wait: bool, mode: Mode) -> Executed:
    """Submit what was prepared; with *wait*, return when the run has ended, however it ended.

    Raises:
        EngineError: the engine cannot be reached, or went away.
    """
    reporter = client.new_reporter(mode)
    connection = await client.connect()
    try:
        if mode is Mode.INLINE:
            end = await _execute_inline(client, connection, prepared, reporter)
        elif wait:
            accepted = await _submit(client, connection, prepared, reporter, watch=True)
            end = await _watch(client, connection, accepted, reporter, goes_on=True, env_vars=prepared.options.env_vars)
        else:
            accepted = await _submit(client, connection, prepared, reporter, watch=False)
            return Executed(accepted, None)
    finally:
        reporter.close()
        await connection.close()
    return Executed(end.run, end)


async def _submit(
    client: Client, connection: Connection, prepared: Prepared, reporter: Reporter, *, watch: bool
) -> RunRecord:
    inputs = stored(prepared.inputs, client.blobs)
    # In the store, since many runs have the same code.
    archive = client.blobs.put(make_archive(user_code_digest.files()))
    shows = not isinstance(reporter, Silent)
    accepted = await _undivided(
        client, connection, lambda number: prepared.request(number, inputs, archive, watch=watch, shows=shows), reporter
    )
    reporter.accepted(accepted.run)
    if accepted.interrupted:
        reporter.notice(_interrupted(accepted.interrupted))
    return accepted.run


def _interrupted(runs: Sequence[RunId]) -> str:
    if len(runs) == 1:
        return f"run {runs[0]} was interrupted when its engine died; 'volant resume {runs[0]}' goes on with it"
    names = ", ".join(runs[:_MOST_NAMES]) + (", ..." if len(runs) > _MOST_NAMES else "")
    return (
        f"{len(runs)} runs were interrupted when their engine died ({names}); 'volant resume --all' goes on with them"
    )


async def _undivided(
    client: Client, connection: Connection, request: Callable[[int], ClientToEngine], reporter: Reporter
) -> RunAccepted:
    """Ask for a run. Whoever is interrupted meanwhile cannot know whether it exists: wait for its name, then abort."""
    asking = asyncio.ensure_future(connection.ask(request, RunAccepted))
    try:
        return await asyncio.shield(asking)
    except asyncio.CancelledError:
        accepted = await asking
        await abort_when_left(client, connection, accepted.run.run, reporter)
        raise


async def _watch(
    client: Client,
    connection: Connection,
    run: RunRecord,
    reporter: Reporter,
    *,
    goes_on: bool,
    env_vars: Mapping[str, str] | None = None,
) -> RunEnd:
    try:
        return await watch_to_end(client, connection, run.run, reporter, asked=True, goes_on=goes_on, env_vars=env_vars)
    except asyncio.CancelledError:
        await abort_when_left(client, connection, run.run, reporter)
        raise


async def _execute_inline(client: Client, connection: Connection, prepared: Prepared, reporter: Reporter) -> RunEnd:
    """This process is the worker of every action; when it leaves, the engine aborts the run."""
    worker = client.new_inline_worker(connection.tell_inline)
    connection.listen_inline(worker.receive)
    try:
        with _interrupts.reach(worker):
            accepted = await _submit(client, connection, prepared, reporter, watch=True)
            return await _watch(client, connection, accepted, reporter, goes_on=False)
    finally:
        await worker.close()


class _Interrupts:
    """Lets Ctrl-C reach a sync task that runs inline, for as long as any run does.

    While a sync task runs on top of the loop, the loop's own way of being told is blocked. Runs may overlap in any
    order, so the first one installs the handler and the last one puts back what was there.
    """

    def __init__(self) -> None:
        self._runs: list[tuple[asyncio.Task[object] | None, InlineWorker]] = []
        self._before: Callable[[int, FrameType | None], object] | None = None

    @contextlib.contextmanager
    def reach(self, worker: InlineWorker) -> Generator[None]:
        """While this task waits for the run of *worker*."""
        run = (asyncio.current_task(), worker)
        self._runs.append(run)
        self._install()
        try:
            yield
        finally:
            self._runs.remove(run)
            self._put_back()

    def _install(self) -> None:
        before = signal.getsignal(signal.SIGINT)
        if len(self._runs) > 1 or threading.current_thread() is not threading.main_thread() or not callable(before):
            return
        self._before = before
        signal.signal(signal.SIGINT, self._interrupt)

    def _put_back(self) -> None:
        if self._runs or self._before is None or threading.current_thread() is not threading.main_thread():
            return
        before, self._before = self._before, None
        if signal.getsignal(signal.SIGINT) == self._interrupt:
            signal.signal(signal.SIGINT, before)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self._before is not None:
            self._before(number, frame)
        for task, worker in self._runs:
            if task is not None and task.cancelling():
                # The run is going to be aborted, whatever its tasks make of what is raised in them.
                worker.interrupt()
        # The worker hides the running loop from sync user code, which may run one of its own.
        running = asyncio._get_running_loop()
        if running is None or all(task is None or task.get_loop() is not running for task, _ in self._runs):
            raise KeyboardInterrupt


_interrupts = _Interrupts()
