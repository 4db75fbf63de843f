"""The simulated world: the real engine and rules, everything around them played, and a random schedule of mishaps.

`simulate(seed)` makes a world from a seed: some programs, clients who run and watch them, one home or two that share a
store, and the weather. Things go wrong until it calms down; from then on everything has to come to its end. `laws.py`
says what must hold. A seed is a history, to the byte; `make sim SEED=7` shows it.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from tests.simulation.clients import Aborter, Client, Onlooker
from tests.simulation.engines import EngineProcess
from tests.simulation.launchers import SimulatedLauncher
from tests.simulation.laws import BrokenLaw, Laws
from tests.simulation.machine import Machine, Process
from tests.simulation.programs import random_program
from tests.simulation.stores import Disk, Weather
from tests.simulation.wires import Wire
from tests.simulation.workers import Dangers, Workplace
from volant.model.ids import RunId

LIVENESS = 3600.0
"""Virtual seconds in which a run has to end when nothing goes wrong any more; its backoffs are long."""
SETTLING = 60.0
"""Virtual seconds for what is left when clients were told: exits, answers, connections."""
_MISHAPS = (
    *("kill", "kill", "mid-turn", "all", "stop", "sleep", "sleep", "worker", "zygote", "cut", "disk", "weather"),
)


@dataclass(kw_only=True)
class Verdict:
    """What became of a seed."""

    seed: int
    broken: str | None
    history: list[str] = field(repr=False)
    engines: int = 0
    attempts: int = 0


def simulate(seed: int) -> Verdict:
    """Play one history to its end, or to the first law that it breaks."""
    world = World(seed)
    # What engines log is in the history where it matters.
    logging.disable(logging.CRITICAL)
    broken: str | None = None
    try:
        world.play()
    except BrokenLaw as error:
        broken = str(error)
    finally:
        logging.disable(logging.NOTSET)
        world.machine.close()
    return Verdict(
        seed=seed,
        broken=broken,
        history=world.machine.history,
        engines=len(world.engines),
        attempts=sum(process.name.startswith("w") for process in world.machine.processes),
    )


class World:
    """Everything there is."""

    def __init__(self, seed: int) -> None:
        random = self.random = Random(f"volant {seed}")
        self.machine = Machine(random)
        self.is_shared = random.random() < 0.5
        self.homes = ["a", "b"] if self.is_shared else ["a"]
        self.disk = Disk(self.machine, is_shared=self.is_shared, lease_seconds=random.choice([1.0, 3.0, 15.0]))
        runs = [RunId(f"r{number}") for number in range(random.choice([1, 1, 2, 3]))]
        self.programs = {run: random_program(random, str(run)) for run in runs}
        self.laws = self.disk.laws = Laws(self.machine, self.disk.store, self.programs)
        self.place = Workplace(self.machine, self.programs, self.laws)
        self.laws.workers_of = self.place.workers_of
        self.place.employer = self._employer
        # Whether attempts outlive their engine; where homes share a store, no longer than half a lease.
        window = random.choice([0.0, 0.0, 0.5, 5.0, 20.0, 20.0])
        self.place.window = min(window, self.disk.lease_seconds / 2) if self.is_shared else window
        self.engines: list[EngineProcess] = []
        self.is_calm = False
        self.wires: list[Wire] = []
        self.dangers = self.place.dangers = self._dangers()
        self.disk.weather = self._weather()
        everybody = (self.machine, self, self.laws, self.disk.store)
        self.clients = [
            Client(*everybody, run=run, program=program, is_cautious=self.is_shared)
            for run, program in self.programs.items()
        ]
        self.onlookers = [Onlooker(*everybody, run=random.choice(runs)) for _ in range(random.choice([0, 1, 1, 2]))]
        self.aborters = (
            [Aborter(*everybody, run=random.choice(runs), after=random.expovariate(0.5))]
            if random.random() < 0.15
            else []
        )
        self._trouble = random.choice([0.0, 0.1, 0.3, 1.0, 3.0])
        """How often something goes wrong, per second."""

    def play(self) -> None:
        """Let it all happen, and judge."""
        machine, random = self.machine, self.random
        machine.on_failure = self._failed
        calm_at = random.uniform(1.0, 20.0)
        machine.at(calm_at, self._calm)
        if self._trouble:
            machine.after(random.expovariate(self._trouble), self._disturb)
        if self.is_shared and random.random() < 0.6:
            machine.after(0.3 + random.expovariate(2.0), self._oversleep)
        if not self._run(self._are_all_told, until=calm_at + LIVENESS):
            left = ", ".join(client.watching.run for client in self.clients if client.watching.ended is None)
            raise self.laws.broken("every run ends or can be resumed", f"the end of {left} was not told")
        if not self.is_calm:
            self._calm()
        for onlooker in self.onlookers:
            onlooker.process.die()
        self._run(lambda: False, until=machine.now + SETTLING)
        self._check_rest()
        aborted = any(aborter.has_asked for aborter in self.aborters)
        for run in self.programs:
            self.laws.check_end(run, was_disturbed=aborted)

    def connect(self, client: Process, *, slowest: float) -> Wire | None:
        """A connection to an engine, of the home that the client fancies; or start one."""
        home = self.random.choice(self.homes) if self.random.random() < 0.3 else self.homes[0]
        if self._sleeps(home) and self.random.random() < 0.8:
            # Nobody waits for long for one that does not answer.
            home = next((each for each in self.homes if not self._sleeps(each)), home)
        engine = next((each for each in self.engines if each.home == home and each.is_alive), None)
        if engine is None:
            self._start_engine(home)
            return None
        if not engine.is_listening:
            return None
        wire = Wire(self.machine, client, engine.process, laws=self.laws, slowest=slowest)
        self.wires.append(wire)
        if engine.process.is_asleep:
            self.machine.after(self.random.uniform(0.1, 3.0), wire.end)
        engine.connect(wire)
        return wire

    def _employer(self, home: str) -> SimulatedLauncher | None:
        found = (each for each in self.engines if each.home == home and each.is_alive and each.is_listening)
        return next((each.launcher for each in found), None)

    def _sleeps(self, home: str) -> bool:
        return any(each.home == home and each.is_alive and each.process.is_asleep for each in self.engines)

    def _start_engine(self, home: str) -> None:
        number = len(self.engines) + 1
        engine = EngineProcess(self.machine, self.disk, self.place, number=number, home=home)
        self.engines.append(engine)
        if not self.is_calm and self._trouble and self.random.random() < 0.5:
            engine.process.steps_to_live = self.random.randint(1, 1500)

    # What goes wrong

    def _dangers(self) -> Dangers:
        random = self.random
        return Dangers(
            lost=random.choice([0.0, 0.0, 0.05, 0.3]),
            refused=random.choice([0.0, 0.0, 0.05]),
            no_room=random.choice([0.0, 0.0, 0.05]),
            slow_start=random.choice([0.0, 0.1]),
            repeated=random.choice([0.0, 0.2]),
            stubborn=random.choice([0.0, 0.3, 1.0]),
            orphaned=random.choice([0.0, 0.0, 0.2]),
            late=random.choice([0.0, 0.2, 0.6]),
        )

    def _weather(self) -> Weather:
        random = self.random
        return Weather(
            commit_seconds=random.choice([0.0001, 0.001, 0.02, 0.3]),
            slow_commit=random.choice([0.0, 0.0, 0.05]),
            read_seconds=random.choice([0.0, 0.001, 0.1]),
            lease_errors=random.choice([0.0, 0.0, 0.2]),
        )

    def _disturb(self) -> None:
        if self.is_calm:
            return
        random, machine = self.random, self.machine
        machine.after(random.expovariate(self._trouble), self._disturb)
        engines = [engine for engine in self.engines if engine.is_alive]
        engine = random.choice(engines) if engines else None
        workers = list(self.place.live)
        zygotes = list(self.place.zygotes)
        match random.choice(_MISHAPS):
            case "kill" if engine is not None:
                engine.kill()
            case "mid-turn" if engine is not None:
                engine.process.steps_to_live = random.randint(1, 60)
            case "all":
                machine.note("world", "everything dies")
                for each in engines:
                    each.kill()
                for zygote in zygotes:
                    zygote.die()
                for worker in workers:
                    worker.process.die()
            case "zygote" if zygotes:
                zygote = random.choice(zygotes)
                if all(self.place.may_lose(worker.run, worker.action) for worker in zygote.forks.values()):
                    machine.note(zygote.name, "is killed")
                    zygote.die()
            case "stop" if engine is not None:
                machine.note(engine.name, "is told to leave")
                engine.stop()
            case "sleep" if engine is not None:
                self._put_to_sleep(engine)
            case "worker" if workers:
                worker = random.choice(workers)
                if self.place.may_lose(worker.run, worker.action):
                    machine.note(worker.process.name, "is killed")
                    worker.process.die()
            case "cut":
                wires = [wire for wire in self.wires if wire.is_open]
                if wires:
                    random.choice(wires).end()
            case "disk":
                machine.note("store", "the disk is full")
                self.disk.weather.is_disk_full = True
                machine.after(random.choice([0.01, 1.0, 5.0]), self._free_disk)
            case "weather":
                self.disk.weather = self._weather()
            case _:
                pass

    def _put_to_sleep(self, engine: EngineProcess) -> None:
        """For long enough that another takes its runs over, if there can be one."""
        random, machine = self.random, self.machine
        seconds = self.disk.lease_seconds + random.uniform(2.0, 8.0) if self.is_shared else random.choice([0.1, 2.0])
        machine.note(engine.name, f"sleeps for {seconds:.1f} s")
        engine.process.sleep(seconds)
        if self.is_shared:
            for wire in self.wires:
                if wire.engine is engine.process:
                    machine.after(random.random(), wire.end)

    def _oversleep(self) -> None:
        engines = [engine for engine in self.engines if engine.is_alive and engine.launcher.workers]
        if engines:
            self._put_to_sleep(self.random.choice(engines))

    def _free_disk(self) -> None:
        if self.disk.weather.is_disk_full:
            self.machine.note("store", "the disk has room again")
            self.disk.weather.is_disk_full = False

    def _calm(self) -> None:
        """Nothing goes wrong from now on."""
        self.is_calm = True
        self.machine.note("world", "it calms down")
        self.place.dangers = Dangers(stubborn=self.dangers.stubborn)
        self.disk.weather = Weather()
        for engine in self.engines:
            engine.process.steps_to_live = None

    # Judging

    def _run(self, is_done: Callable[[], bool], *, until: float) -> bool:
        laws = self.laws

        def is_over() -> bool:
            return laws.verdict is not None or is_done()

        ended = self.machine.run(is_over, until=until)
        if laws.verdict is not None:
            raise laws.verdict
        return ended

    def _are_all_told(self) -> bool:
        return all(client.watching.ended is not None for client in self.clients)

    def _failed(self, process: Process, what: str) -> None:
        if self.laws.verdict is not None:
            # What broke a law was told already, and to whoever catches it.
            return
        self.laws.broken("a callback does not fail", f"{process.name}: {what}")

    def _check_rest(self) -> None:
        """Nothing is left where nothing runs."""
        for worker in self.place.live:
            raise self.laws.broken("nothing is left of a run that ended", f"{worker.process.name} is alive")
        for process in self.engines:
            engine = process.engine
            if not process.is_alive or engine is None or process.process.is_asleep:
                continue
            placement = engine.placement
            rest = {
                "runs": len(engine.runs),
                "attempts": engine.live_attempts,
                "CPU": placement.cpu_used,
                "processes": placement.processes,
                "in line": placement.queued,
                "untold": int(not engine.only_time_helps),
            }
            if any(rest.values()):
                raise self.laws.broken("nothing is left of a run that ended", f"{process.name} has {rest}")
