"""The launcher of a simulated engine, and the zygotes that guard its attempts and may outlive it.

What is known of attempts whose engine is gone keeps the code that real engines use (`launchers.survivors`); who says
what to whom, and when, is played as `launchers.local`, `launchers.zygote` and `worker.returning` do it.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from functools import partial

from tests.simulation.machine import Pipe, Process
from tests.simulation.workers import Worker, Workplace
from volant.launchers.survivors import WaitingSurvivors
from volant.model.exits import Exit
from volant.model.failures import Failure, FailureKind
from volant.model.ids import ActionId, AttemptKey, RunId
from volant.model.worker_protocol import (
    Accepted,
    ChildEnded,
    EngineToWorker,
    ForkedAttempt,
    Resync,
    WorkerToEngine,
)
from volant.ports.launcher import AttemptOrder, LauncherEvents

_WAKING = 0.3
"""Seconds after which a zygote is woken that does not return, and _PATIENCE after which it is killed."""
_PATIENCE = 3.0
_RECENT = 1.0
"""Seconds for which the end of a fork may be news to the next engine."""


class Zygote:
    """The guardian of the workers of one environment, with an engine or without."""

    def __init__(self, place: Workplace, home: str, environment: str, name: str) -> None:
        self.home = home
        self.environment = environment
        self.name = name
        self.is_alive = True
        self.launcher: SimulatedLauncher | None = None
        self.forks: dict[AttemptKey, Worker] = {}
        self._gone: list[tuple[float, Worker]] = []
        self._way_out: Pipe | None = None
        self._place = place
        self._machine = place.machine
        self._give_up_at = 0.0
        self._sleeps_until = 0.0
        self._is_deaf = False
        self._is_leaving = False
        place.zygotes[self] = None

    def work_for(self, launcher: "SimulatedLauncher") -> None:
        """It is a child of this engine, or has found it."""
        self.launcher = launcher
        self._way_out = Pipe(self._machine, partial(launcher.process.arrive, launcher.zygote_said, self))
        launcher.process.on_death.append(partial(self._engine_died, launcher))

    def fork(self, worker: Worker) -> None:
        """There is a worker."""
        self.forks[worker.key] = worker
        worker.process.on_death.append(partial(self._exited, worker))
        worker.begin()

    def end(self, worker: Worker, *, grace: float) -> None:
        """End a worker, which may be stubborn."""
        delay = self._machine.random.random() * 0.002
        if grace and self._machine.random.random() < self._place.dangers.stubborn:
            delay += grace
        self._machine.after(delay, _kill, worker)

    def die(self) -> None:
        """It is killed, and the kernel ends its forks."""
        if self.is_alive:
            self.is_alive = False
            self._place.zygotes.pop(self, None)
            for worker in list(self.forks.values()):
                _kill(worker)
            if self.launcher is not None:
                self.launcher.zygotes.pop(self, None)

    def wake(self) -> None:
        """It goes on, if it can."""
        if not self._is_deaf:
            self._sleeps_until = 0.0
            self._look()

    def _exited(self, worker: Worker) -> None:
        if not self.is_alive:
            # Nobody guards it, and so whoever had it notices that its guardian is gone.
            if self.launcher is not None:
                self.launcher.guardian_died(worker)
            return
        self.forks.pop(worker.key, None)
        self._gone.append((self._machine.now, worker))
        if self._way_out is not None:
            launcher = self.launcher
            assert launcher is not None
            last = launcher.last_words_at(worker.key)
            self._machine.at(max(last, self._machine.now + 0.003), self._way_out.send, ("gone", worker))

    def _engine_died(self, launcher: "SimulatedLauncher") -> None:
        if self.launcher is not launcher or not self.is_alive:
            return
        self.launcher = self._way_out = None
        random, machine, place = self._machine.random, self._machine, self._place
        news = any(machine.now - at < _RECENT and worker.ended.code != 0 for at, worker in self._gone)
        if not place.window or not (self.forks or news):
            self._is_leaving = True
            machine.after(random.random() * (1.5 if self.forks else 0.0), self.die)
            return
        for worker in list(self.forks.values()):
            if random.random() < place.dangers.orphaned and place.may_lose(worker.run, worker.action):
                machine.note(worker.process.name, "does not outlive its engine")
                machine.after(random.expovariate(1.0), _kill, worker)
        if random.random() < place.dangers.late:
            self._sleeps_until = machine.now + random.choice([0.1, 1.0, 5.0])
            self._is_deaf = random.random() < 0.3
        self._give_up_at = machine.now + place.window
        machine.after(place.window, self._give_up, self._give_up_at)
        machine.after(random.random() * 0.04, self._look)

    def _give_up(self, at: float) -> None:
        if self.launcher is None and self._give_up_at == at and self.is_alive:
            self._machine.note(self.name, "gives up")
            for worker in self.forks.values():
                worker.is_ending = True
            self.die()

    def _look(self) -> None:
        if not self.is_alive or self.launcher is not None or self._is_leaving:
            return
        now, found = self._machine.now, self._place.employer(self.home)
        if found is None or now < self._sleeps_until:
            self._machine.at(max(self._sleeps_until, now + 0.02 + self._machine.random.random() * 0.01), self._look)
            return
        assert isinstance(found, SimulatedLauncher)
        self._give_up_at = 0.0
        self.work_for(found)
        assert self._way_out is not None
        self._way_out.send(("returned", tuple(self.forks.values()), tuple(worker for _, worker in self._gone)))


class SimulatedLauncher:
    """The `Launcher` of one engine, which runs in *process*."""

    def __init__(self, place: Workplace, process: Process, engine: str, home: str) -> None:
        self.events: LauncherEvents
        self.failures_of: Callable[[RunId, ActionId], int] = lambda run, action: 0
        self.process = process
        self.workers: dict[AttemptKey, Worker] = {}
        self.zygotes: dict[Zygote, None] = {}
        """Those that it started, and those that returned to it."""
        self._place = place
        self._machine = place.machine
        self._engine = engine
        self._home = home
        self._by_environment: dict[str, Zygote] = {}
        self._guardians: dict[AttemptKey, Zygote] = {}
        self._ways_in: dict[AttemptKey, Pipe] = {}
        self._ways_out: dict[AttemptKey, Pipe] = {}
        self._survivors = WaitingSurvivors()
        self._inherited: set[AttemptKey] = set()
        """Those of an earlier engine with which nobody goes on yet."""
        self._connected: dict[AttemptKey, Worker] = {}
        self._attached: dict[AttemptKey, Worker] = {}
        self._wanted: set[AttemptKey] = set()
        self._unforked: dict[Worker, None] = {}
        process.on_death.append(self._engine_died)

    # The port

    def start(self, order: AttemptOrder) -> None:
        self.process.step()
        random, dangers, start = self._machine.random, self._place.dangers, order.start
        run, action = start.context.run, start.action
        if random.random() < dangers.no_room and self._place.may_lose(run, action):
            raise OSError(11, "no more processes")
        key = order.key
        worker = Worker(self._place, start, self._engine, self._home)
        worker.failures_before = self.failures_of(run, action)
        self._place.laws.started(
            start, worker.task.name, by=self._engine, beside=self._place.left_of(run, action, self._home)
        )
        self._machine.note(self._engine, f"starts {worker.name} of {run} as {worker.process.name}")
        zygote = self._zygote(str(run))
        self._guardians[key] = zygote
        self._place.live[worker] = None
        self.workers[key] = worker
        self._connect(worker)
        self._unforked[worker] = None
        worker.process.on_death.append(partial(self._died_unforked, worker))
        delay = random.random() * 0.003
        if random.random() < dangers.slow_start:
            delay += random.random()
        if random.random() < dangers.refused and self._place.may_lose(run, action):
            self._machine.after(delay, self._refuse, worker)
        else:
            self._machine.after(delay, self._fork, zygote, worker)
            self._machine.after(delay + random.random() * 0.01, self.process.arrive, self._begun, key)
            if random.random() < dangers.lost:
                self._machine.after(delay + random.expovariate(1.0), self._lose, worker)
        self.process.step()

    def tell(self, key: AttemptKey, message: EngineToWorker) -> None:
        self.process.step()
        worker = self.workers.get(key)
        if worker is None:
            return
        if isinstance(message, ChildEnded):
            self._place.laws.tells_parent(worker.run, message, by=self._engine)
            said = type(message.outcome).__name__
            self._machine.note(self._engine, f"tells {worker.process.name}: {message.action[:5]} {said}")
        if isinstance(message, Accepted):
            # Its outcome is committed, whatever it still does.
            worker.is_ending = True
        if (way := self._ways_in.get(key)) is not None:
            way.send(message)
        self.process.step()

    def adopt(self, key: AttemptKey) -> None:
        self.process.step()
        found = self._survivors.go_on(key)
        if found is None:
            return
        fork, ended = found
        self._inherited.discard(key)
        self._machine.note(self._engine, f"adopts w{key}, attempt {fork.attempt} of {fork.action[:5]} of {fork.run}")
        self.process.loop.call_soon(self.events.attempt_started, key, fork.pid)
        if ended is not None:
            self.process.loop.call_soon(self.events.attempt_gone, key, ended)
            return
        self._wanted.add(key)
        if key in self._attached:
            self._ways_in[key].send(Resync())
        self.process.step()

    def end(self, key: AttemptKey, *, grace: float) -> None:
        self.process.step()
        worker, guardian = self.workers.get(key), self._guardians.get(key)
        if key in self._inherited and worker is not None:
            self._place.laws.ends_survivor(worker.run, worker.action, worker.start.attempt, by=self._engine)
        ended = self._survivors.dismiss(key)
        if ended is not None:
            self.process.loop.call_soon(self.events.attempt_gone, key, ended)
            return
        if worker is None or guardian is None:
            return
        self._machine.note(self._engine, f"ends {worker.process.name}, grace {grace:g} s")
        worker.is_ending = True
        guardian.end(worker, grace=grace)

    def idle(self, keys: Collection[AttemptKey]) -> set[AttemptKey]:
        random = self._machine.random
        return {key for key in keys if key in self.workers and random.random() < 0.3}

    async def close(self) -> None:
        while self.workers:
            for worker in list(self.workers.values()):
                worker.is_ending = True
                _kill(worker)
            await asyncio.sleep(0.01)
        for zygote in list(self.zygotes):
            zygote.die()

    # What an earlier engine left

    def take_in(self, worker: Worker) -> None:
        self._connect(worker)
        self.process.arrive(self._attach, worker)

    async def until_settled(self) -> None:
        """Return when each zygote of the home is here or gone."""
        began = self._machine.now
        while missing := [
            zygote for zygote in self._place.zygotes if zygote.home == self._home and zygote not in self.zygotes
        ]:
            waited = self._machine.now - began
            for zygote in missing:
                if waited > _PATIENCE:
                    self._machine.note(self._engine, f"kills {zygote.name}")
                    for worker in zygote.forks.values():
                        worker.is_ending = True
                    zygote.die()
                elif waited > _WAKING:
                    zygote.wake()
            await asyncio.sleep(0.05)

    async def survivors(self, run: RunId) -> Sequence[ForkedAttempt]:
        """The run is resumed: its attempts that are, or were, there."""
        return self._survivors.take(run)

    async def dismiss(self, run: RunId | None, *, grace: float) -> None:
        """End attempts that nobody goes on with, and return when nothing of them is left."""
        ended: list[Worker] = []
        for key in self._survivors.unclaimed(lambda fork: run in (None, fork.run)):
            worker = self.workers.get(key)
            if self._survivors.dismiss(key) is None and worker is not None:
                self._machine.note(self._engine, f"dismisses {worker.process.name}")
                self._place.count_loss(worker.run, worker.action)
                worker.is_ending = True
                ended.append(worker)
                self._guardians[key].end(worker, grace=grace)
        while any(worker.key in self.workers for worker in ended):
            await asyncio.sleep(0.01)

    # What zygotes say, on the engine's loop

    def zygote_said(self, zygote: Zygote, message: tuple[object, ...]) -> None:
        match message:
            case ("gone", Worker() as worker):
                self._gone(worker)
            case ("returned", tuple(forks), tuple(gone)):
                self._returned(zygote, forks, gone)
            case _:
                raise AssertionError(message)

    def guardian_died(self, worker: Worker) -> None:
        """A worker is gone with its zygote."""
        when = max(self.last_words_at(worker.key), self._machine.now + 0.003) + self._machine.random.random() * 0.01
        self._machine.at(when, self.process.arrive, self._gone, worker)

    def last_words_at(self, key: AttemptKey) -> float:
        """When all that a worker has said is read."""
        way = self._ways_out.get(key)
        return 0.0 if way is None else way.arrives_at + self._machine.random.random() * 0.01

    def _returned(self, zygote: Zygote, forks: Sequence[Worker], gone: Sequence[Worker]) -> None:
        self._machine.note(self._engine, f"has {zygote.name} back, with {len(forks)} fork(s)")
        self.zygotes[zygote] = None
        self._by_environment.setdefault(zygote.environment, zygote)
        for worker in gone:
            self._survivors.add(_fork_of(worker), worker.ended)
        for worker in forks:
            self._survivors.add(_fork_of(worker))
            self._inherited.add(worker.key)
            worker.engine = self._engine
            self.workers[worker.key] = worker
            self._guardians[worker.key] = zygote

    def _attach(self, worker: Worker) -> None:
        self._attached[worker.key] = worker
        if worker.key in self._wanted:
            self._ways_in[worker.key].send(Resync())

    def _gone(self, worker: Worker) -> None:
        key = worker.key
        if self.workers.pop(key, None) is None:
            return
        self._attached.pop(key, None)
        self._connected.pop(key, None)
        self._inherited.discard(key)
        self._machine.note(self._engine, f"hears that {worker.process.name} is gone ({worker.ended.text})")
        if not self._survivors.gone(key, worker.ended):
            self.events.attempt_gone(key, worker.ended)

    # What becomes of them

    def _zygote(self, environment: str) -> Zygote:
        found = self._by_environment.get(environment)
        if found is None or not found.is_alive:
            name = f"z{self._place.next_zygote()}"
            found = self._by_environment[environment] = Zygote(self._place, self._home, environment, name)
            self.zygotes[found] = None
            found.work_for(self)
        return found

    def _connect(self, worker: Worker) -> None:
        key = worker.key
        # What was said arrives on the engine's loop, never within a call to the launcher.
        way_out = self._ways_out[key] = Pipe(self._machine, partial(self.process.arrive, self._said, key))
        worker.say = way_out.send
        self._ways_in[key] = Pipe(self._machine, worker.hear)
        self._connected[key] = worker

    def _fork(self, zygote: Zygote, worker: Worker) -> None:
        if worker not in self._unforked:
            return
        if not zygote.is_alive and not self._place.may_lose(worker.run, worker.action):
            zygote = self._guardians[worker.key] = self._zygote(zygote.environment)
        if zygote.is_alive:
            self._unforked.pop(worker, None)
            zygote.fork(worker)
        else:
            worker.process.die()

    def _died_unforked(self, worker: Worker) -> None:
        if worker in self._unforked:
            self._unforked.pop(worker, None)
            self.guardian_died(worker)

    def _lose(self, worker: Worker) -> None:
        if worker.process.is_alive and self._place.may_lose(worker.run, worker.action):
            self._machine.note(worker.process.name, "is killed")
            _kill(worker)

    def _refuse(self, worker: Worker) -> None:
        if worker not in self._unforked:
            return
        self._unforked.pop(worker, None)
        failure = Failure(kind=FailureKind.LOST, code="OSError", message="there is no socket")
        self._place.live.pop(worker, None)
        worker.ended = Exit()
        self.process.arrive(lambda: self.events.attempt_refused(worker.key, failure))
        self.process.arrive(self._gone, worker)

    def _engine_died(self) -> None:
        """Connections end. What was said to workers before is still read, or was not sent yet."""
        random = self._machine.random
        for worker in list(self._unforked):
            guardian = self._guardians[worker.key]
            if guardian.is_alive and random.random() < 0.5:
                self._fork(guardian, worker)
            else:
                # Its zygote never hears of it.
                self._unforked.pop(worker, None)
                worker.process.die()
        for way in self._ways_out.values():
            way.cut()
        for key, way in self._ways_in.items():
            if random.random() < 0.5:
                way.cut()
            worker = self._connected.get(key)
            if worker is not None:
                self._machine.at(max(way.arrives_at, self._machine.now + 1e-6), worker.lose_engine)

    # On the engine's loop

    def _begun(self, key: AttemptKey) -> None:
        if key in self.workers:
            self.events.attempt_started(key, 1000 + key)

    def _said(self, key: AttemptKey, messages: Sequence[WorkerToEngine]) -> None:
        if key in self.workers:
            self.events.attempt_said(key, messages)


def _kill(worker: Worker) -> None:
    if worker.process.is_alive:
        worker.ended = Exit(signal=9)
        worker.process.die()


def _fork_of(worker: Worker) -> ForkedAttempt:
    return ForkedAttempt(
        attempt_key=worker.key,
        run=worker.run,
        action=worker.action,
        attempt=worker.start.attempt,
        pid=1000 + worker.key,
    )
