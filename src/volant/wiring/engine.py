"""The engine's program: `python -m volant.wiring.engine HOME`.

One process per home. It takes the home's lock, opens the journal, listens, and leaves when nothing runs
and nobody has been connected for the lingering time, when it is told to, or when the journal refuses.
"""

import asyncio
import contextlib
import gc
import logging
import os
import resource
import secrets
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from volant.decide.placement import Capacity
from volant.engine.engine import Engine
from volant.engine.ownership import HomeLock
from volant.engine.owning import Term, keep
from volant.engine.service import InlineClient, Service, ServiceParts
from volant.kit.clock import Clock, LoopClock
from volant.kit.homes import (
    absolute_home,
    adoption_path,
    engine_lock_path,
    logs_path,
    prepare_home,
    socket_path,
)
from volant.kit.memory import own_resident_memory
from volant.kit.processes import become_subreaper
from volant.kit.version import VERSION
from volant.launchers.inline import InlineLauncher
from volant.launchers.lifelines import Lifelines
from volant.launchers.local import LocalLauncher
from volant.launchers.returns import Returns
from volant.model.control_protocol import EngineStatus, ZygoteStatus
from volant.model.errors import BatchRefusedError, VolantError
from volant.model.ids import RunId
from volant.model.records import Change
from volant.model.worker_protocol import EngineToWorker, ForkedAttempt, Rejoining
from volant.ports.launcher import LauncherEvents
from volant.settings.catalogue import engine_settings
from volant.settings.loading import load_settings
from volant.settings.tree import Settings
from volant.wiring.journals import lock_journal, open_journal
from volant.wiring.stores import blobs_url, is_shared, journal_place

log = logging.getLogger("volant.engine")

_LEASE_SHARE = 2
"""An owner extends its leases so often that at least this part of one is left when it dies."""
_OTHER_FILES = 32
"""Descriptors for the journal, clients, zygotes and the like."""


def main() -> None:
    """Be the engine of the home that the first argument names; returns at once when there is one already."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    home = absolute_home(sys.argv[1])
    try:
        be_engine(home)
    except (VolantError, OSError) as error:
        hint = getattr(error, "hint", None)
        log.error("the engine of %s ends: %s%s", home, error, f" ({hint})" if hint else "")
        sys.exit(1)


def be_engine(
    home: Path,
    *,
    clock: Clock | None = None,
    new_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop,
    listens: Callable[[Engine, Callable[[], None]], None] | None = None,
) -> None:
    """Be the engine of *home* until it leaves; returns at once when there is one already.

    *clock* is the machine's unless another is given; *listens* is called on the loop that *new_loop* made once clients
    can connect, with the engine and with what makes it leave.

    Raises:
        VolantError: it cannot be; so does `OSError`.
    """
    prepare_home(home)
    clock = clock or LoopClock()
    lock = HomeLock.acquire(engine_lock_path(home), started_at=clock.now())
    if lock is None:
        return
    _allow_many_files()
    become_subreaper()
    settings = load_settings(environ={**os.environ, "VOLANT_HOME": str(home)}, use_project=False)
    journal_lock = lock_journal(settings, clock.now())
    # What is here now stays: the collector need not look at it again and again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(_serve(home, settings, clock, lock, listens))
    if journal_lock is not None:
        journal_lock.release()


async def _serve(
    home: Path,
    settings: Settings,
    clock: Clock,
    lock: HomeLock,
    listens: Callable[[Engine, Callable[[], None]], None] | None,
) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)

    def failed(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        loop.default_exception_handler(context)
        if "handle" in context:
            # A callback of ours raised: some run would wait for ever. Ending tells everybody.
            stopping.set()

    loop.set_exception_handler(failed)
    async with contextlib.AsyncExitStack() as stack:
        name = f"{clock.now():%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"
        lock.note(name)
        journal, leases = await open_journal(settings, owner=name, dead=lock.before)
        stack.push_async_callback(journal.close)

        def committed(run: RunId, changes: Sequence[Change]) -> None:
            service.committed(run, changes)

        def given_up(run: RunId, error: BaseException) -> None:
            service.given_up(run, error)

        engine = Engine(
            journal=journal,
            clock=clock,
            capacity=_capacity(settings),
            host=socket.gethostname(),
            log_folder=partial(_log_folder, logs_path(home)),
            on_committed=committed,
            on_broken=lambda _error: stopping.set(),
            on_given_up=given_up,
            park_after=settings.engine.park_after,
            first_key=secrets.randbits(60),
            may_start=lambda: term.is_sure,
        )
        # One that slept for longer than a lease finds its workers' words before it hears what it has lost.
        term = Term(leases.duration)

        def lost(runs: Sequence[RunId]) -> None:
            for run in runs:
                engine.give_up(run, BatchRefusedError(f"run '{run}': its lease ran out, and another engine took it"))

        keeping = loop.create_task(keep(leases, lost=lost, term=term, sure=engine.go_on))
        stack.push_async_callback(_cancelled, keeping)
        lifelines = Lifelines(home / "lives")
        lifelines.sweep()
        stack.callback(lifelines.sweep)
        window = _adoption_window(settings, leases.duration)
        local = LocalLauncher(
            events=engine,
            zygote_logs=home / "zygotes",
            lifeline=lifelines.of(name),
            rejoining=_rejoining(home, window),
        )
        stack.push_async_callback(local.close)

        async def settled(_engine: str) -> None:
            await lifelines.until_settled(but=name, returned=lambda: local.returned)

        async def survivors(run: RunId) -> Sequence[ForkedAttempt]:
            await local.end_strays(run)
            return local.survivors(run)

        async def dismiss(run: RunId) -> None:
            await settled(name)
            await local.end_strays(run)
            await local.dismiss(run, grace=settings.grace_period.total_seconds())

        stack.push_async_callback(engine.close)
        parts = ServiceParts(
            engine=engine,
            journal=journal,
            leases=leases,
            clock=clock,
            local=local,
            inline=partial(_inline_client, engine),
            status=lambda request: _status(request, service, local, settings, started_at),
            stop=stopping.set,
            home=str(home),
            blobs=blobs_url(settings),
            shares_journal=is_shared(settings),
            journal_place=journal_place(settings),
            version=VERSION,
            engine_name=name,
            until_gone=settled,
            survivors=survivors,
            dismiss=dismiss,
            pid=os.getpid(),
            uid=os.getuid(),
        )
        started_at = clock.now()
        service = Service(parts)
        returns = Returns(adoption_path(home), zygote=local.zygote_returned, worker=local.worker_returned)
        stack.callback(returns.close)
        expiring = loop.create_task(_expire(local, window, settings.grace_period))
        stack.push_async_callback(_cancelled, expiring)
        path = socket_path(home)
        path.unlink(missing_ok=True)
        server = await loop.create_unix_server(service.accept, path)
        path.chmod(0o600)
        stack.callback(partial(path.unlink, missing_ok=True))
        stack.callback(server.close)
        log.info("engine %s of %s, pid %d", parts.engine_name, home, os.getpid())
        if listens is not None:
            listens(engine, stopping.set)
        await _until_stopped(stopping, service, local, settings.engine.linger.total_seconds())
        log.info("engine %s leaves", parts.engine_name)
        for client in list(service.clients):
            client.close()


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _adoption_window(settings: Settings, lease: timedelta) -> timedelta:
    """Another engine may take a run when its lease has run out. Nothing of it may be there by then."""
    return min(settings.engine.adoption_window, lease / _LEASE_SHARE)


def _rejoining(home: Path, window: timedelta) -> Rejoining | None:
    if not window:
        return None
    return Rejoining(
        home=str(home), socket=str(adoption_path(home)), window=window.total_seconds(), environment="", label=""
    )


async def _expire(local: LocalLauncher, window: timedelta, grace: timedelta) -> None:
    """End what an earlier engine left and nobody went on with in time."""
    await asyncio.sleep(window.total_seconds())
    await local.dismiss(None, grace=grace.total_seconds())


async def _until_stopped(stopping: asyncio.Event, service: Service, local: LocalLauncher, linger: float) -> None:
    """Return when told to stop, or when nothing has run and nobody was connected for *linger* seconds."""
    engine = service.parts.engine
    loop = asyncio.get_running_loop()
    last_used = loop.time()
    step = max(0.1, min(1.0, linger / 4))
    while not stopping.is_set():
        if service.clients or not engine.is_idle or local.awaits_resuming:
            last_used = loop.time()
        elif loop.time() - last_used >= linger:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), step)


def _log_folder(logs: Path, run: RunId) -> str:
    folder = logs / run
    folder.mkdir(parents=True, exist_ok=True)
    return str(folder)


def _inline_client(
    events: LauncherEvents, send: Callable[[tuple[EngineToWorker, ...]], None], pid: int
) -> InlineClient:
    launcher = InlineLauncher(events=events, send=send, pid=pid)
    return InlineClient(launcher=launcher, heard=launcher.heard, gone=launcher.client_gone)


def _capacity(settings: Settings) -> Capacity:
    capacity = settings.capacity
    # A live attempt has a socket here, and until its zygote has taken the other end, two.
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    processes = capacity.processes
    if files != resource.RLIM_INFINITY:
        processes = max(1, min(processes, (files - _OTHER_FILES) // 2))
    return Capacity(cpu=capacity.cpu, memory=capacity.memory, gpus=capacity.gpu, processes=processes)


def _status(
    request: int, service: Service, local: LocalLauncher, settings: Settings, started_at: datetime
) -> EngineStatus:
    engine = service.parts.engine
    return EngineStatus(
        request=request,
        pid=os.getpid(),
        version=service.parts.version,
        started_at=started_at,
        home=service.parts.home,
        clients=len(service.clients),
        live_runs=tuple(engine.runs),
        live_actions=engine.live_actions,
        queued_actions=engine.placement.queued,
        live_attempts=engine.live_attempts,
        cpu=settings.capacity.cpu,
        cpu_used=engine.placement.cpu_used,
        zygotes=tuple(
            ZygoteStatus(pid=zygote.pid, environment=zygote.label, forks=zygote.forks, imported=zygote.is_imported)
            for zygote in local.zygotes
        ),
        resident_memory=own_resident_memory(),
        settings=engine_settings(settings.value_of),
    )


def _allow_many_files() -> None:
    """Every live attempt has a socket here."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    main()
