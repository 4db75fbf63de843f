"""An engine's process: the real engine and its face, put together as `wiring.engine` does, on simulated adapters."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from random import Random

from tests.simulation.launchers import SimulatedLauncher
from tests.simulation.machine import Machine, Process, ProcessClock
from tests.simulation.stores import Disk, SimulatedJournal, SimulatedLeases
from tests.simulation.wires import UID, Wire
from tests.simulation.workers import Workplace
from volant.decide.placement import Capacity
from volant.engine.engine import Engine
from volant.engine.owning import Term, keep
from volant.engine.service import Client as ServiceClient
from volant.engine.service import InlineClient, Service, ServiceParts
from volant.journal.sole_leases import SoleLeases
from volant.launchers.inline import InlineLauncher
from volant.model.control_protocol import EngineStatus
from volant.model.errors import BatchRefusedError
from volant.model.ids import ActionId, RunId
from volant.model.records import Change
from volant.model.worker_protocol import EngineToWorker
from volant.ports.launcher import LauncherEvents
from volant.ports.leases import Leases
from volant.testing.memory_leases import MemoryLeases


class EngineProcess:
    """One life of an engine."""

    def __init__(
        self,
        machine: Machine,
        disk: Disk,
        place: Workplace,
        *,
        number: int,
        home: str,
    ) -> None:
        name = self.name = f"e{number}"
        self.home = home
        self.process = Process(machine, name)
        self.is_listening = False
        self.engine: Engine | None = None
        self.launcher = SimulatedLauncher(place, self.process, name, home)
        self._machine = machine
        self._disk = disk
        self._number = number
        self._window = place.window
        self._clients: list[ServiceClient] = []
        self._stopping: asyncio.Event | None = None
        self.process.start(self._serve())
        machine.note(name, f"starts in home {home}")

    @property
    def is_alive(self) -> bool:
        return self.process.is_alive

    def stop(self) -> None:
        """Tell it to leave, as a signal does."""
        if self._stopping is not None:
            self.process.arrive(self._stopping.set)

    def kill(self) -> None:
        if self.is_alive:
            self._machine.note(self.name, "dies")
            self.process.die()

    def connect(self, wire: Wire) -> None:
        """A client comes."""
        self.process.arrive(self._accept, wire)

    def _accept(self, wire: Wire) -> None:
        client = self._service.accept()
        self._clients.append(client)
        wire.connect(client)

    async def _serve(self) -> None:
        machine, process, disk = self._machine, self.process, self._disk
        await asyncio.sleep(machine.random.uniform(0.05, 0.2))
        stopping = self._stopping = asyncio.Event()
        clock = ProcessClock(process, wrong_by=machine.random.choice([0.0, 0.0, -5.0, 5.0]))
        memory_leases = None
        if disk.is_shared:
            duration = timedelta(seconds=disk.lease_seconds)
            memory_leases = MemoryLeases(disk.store, owner=self.name, duration=duration)
        journal = SimulatedJournal(disk, process, self.name, memory_leases)
        leases: Leases = SimulatedLeases(disk, process, memory_leases or SoleLeases(journal, owner=self.name))

        def committed(run: RunId, changes: Sequence[Change]) -> None:
            service.committed(run, changes)

        def broken(error: BaseException) -> None:
            machine.note(self.name, f"leaves: {error}")
            stopping.set()

        def given_up(run: RunId, error: BaseException) -> None:
            machine.note(self.name, f"gives up {run}: {error}")
            service.given_up(run, error)

        engine = self.engine = Engine(
            journal=journal,
            clock=clock,
            capacity=Capacity(cpu=2000, memory=0, processes=machine.random.choice([3, 20])),
            host="here",
            log_folder=lambda run: f"logs/{run}",
            on_committed=committed,
            on_broken=broken,
            on_given_up=given_up,
            first_key=self._number * 10_000,
            may_start=lambda: term.is_sure,
            park_after=timedelta(seconds=machine.random.choice([0.5, 30.0])),
        )
        term = Term(leases.duration, seconds=lambda: machine.now)
        self.launcher.events = engine
        self.launcher.failures_of = self._failures_of

        def lost(runs: Sequence[RunId]) -> None:
            for run in runs:
                engine.give_up(run, BatchRefusedError(f"run '{run}': its lease ran out, and another engine took it"))

        keeping = process.loop.create_task(keep(leases, lost=lost, term=term, sure=engine.go_on))
        service = self._service = Service(
            ServiceParts(
                engine=engine,
                journal=journal,
                leases=leases,
                clock=clock,
                local=self.launcher,
                inline=partial(_inline, engine),
                status=_no_status,
                stop=stopping.set,
                home=self.home,
                blobs="file:///blobs",
                version="1",
                engine_name=self.name,
                until_gone=self._until_gone,
                survivors=self.launcher.survivors,
                dismiss=self._dismiss,
                pid=1,
                uid=UID,
                shares_journal=disk.is_shared,
                new_root=partial(_new_root, machine.random),
            )
        )
        expiring = process.loop.create_task(self._expire())
        self.is_listening = True
        await stopping.wait()
        self.is_listening = False
        # In the order in which they came: a set has one of its own each time.
        for client in self._clients:
            if client in self._service.clients:
                client.close()
        await engine.close()
        await self.launcher.close()
        keeping.cancel()
        expiring.cancel()
        await asyncio.gather(keeping, expiring, return_exceptions=True)
        await journal.close()
        machine.note(self.name, "has left")
        process.die()

    async def _until_gone(self, _name: str) -> None:
        await self.launcher.until_settled()

    async def _dismiss(self, run: RunId) -> None:
        await self.launcher.until_settled()
        await self.launcher.dismiss(run, grace=5.0)

    async def _expire(self) -> None:
        await asyncio.sleep(self._window)
        await self.launcher.dismiss(None, grace=5.0)

    def _failures_of(self, run: RunId, action: ActionId) -> int:
        engine = self.engine
        live = None if engine is None else engine.runs.get(run)
        found = None if live is None else live.machine.actions.get(action)
        return 0 if found is None else found.user_failures


def _new_root(random: Random) -> ActionId:
    return ActionId(f"{random.getrandbits(128):032x}")


def _inline(events: LauncherEvents, send: Callable[[tuple[EngineToWorker, ...]], None], pid: int) -> InlineClient:
    launcher = InlineLauncher(events=events, send=send, pid=pid)
    return InlineClient(launcher=launcher, heard=launcher.heard, gone=launcher.client_gone)


def _no_status(request: int) -> EngineStatus:
    raise AssertionError(request)
