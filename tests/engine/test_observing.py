"""The CPU of attempts that are seen to use none is lent, and taken back when they are seen to work."""

import asyncio
from collections.abc import Callable, Collection

from volant.decide.placement import Capacity, Placement, Request
from volant.engine.observing import CpuObserver
from volant.model.ids import AttemptKey, RunId
from volant.model.worker_protocol import EngineToWorker
from volant.ports.launcher import AttemptOrder


class Sight:
    """A launcher whose attempts are idle when the test says so."""

    def __init__(self) -> None:
        self.idlers: set[AttemptKey] = set()
        self.looks: list[list[AttemptKey]] = []

    def start(self, order: AttemptOrder) -> None: ...
    def tell(self, key: AttemptKey, message: EngineToWorker) -> None: ...
    def end(self, key: AttemptKey, *, grace: float) -> None: ...
    async def close(self) -> None: ...

    def idle(self, keys: Collection[AttemptKey]) -> set[AttemptKey]:
        self.looks.append(list(keys))
        return self.idlers.intersection(keys)


class Scene:
    def __init__(self, holders: int) -> None:
        self.placement = Placement(Capacity(cpu=1000 * holders, memory=0, processes=10_000))
        self.sight = Sight()
        self.observer = CpuObserver(
            self.placement, launcher_of=lambda _: self.sight, asks=lambda _: False, changed=lambda: None
        )
        for key in range(holders + 1):
            self.placement.enqueue(AttemptKey(key), run=RunId("r"), depth=0, request=Request(cpu=1000))
        assert len(self.placement.admit(can_progress=True)) == holders

    async def look(self) -> None:
        seen = len(self.sight.looks)
        self.observer.watch()
        while len(self.sight.looks) == seen:
            await asyncio.sleep(0.001)


def play(holders: int, scenario: "Callable[[Scene], object]") -> None:
    async def body() -> None:
        scene = Scene(holders)
        await scenario(scene)  # type: ignore[misc]
        scene.observer.stop()

    asyncio.run(body())


def test_who_uses_no_cpu_lends_it_until_it_works_again() -> None:
    async def scenario(scene: Scene) -> None:
        scene.sight.idlers = {AttemptKey(0)}
        await scene.look()
        assert scene.placement.cpu_used == 1000
        scene.sight.idlers = set()
        await scene.look()
        assert scene.placement.cpu_used == 2000

    play(2, scenario)


def test_who_said_that_it_works_and_is_idle_again_lends_its_cpu_again() -> None:
    async def scenario(scene: Scene) -> None:
        key = AttemptKey(0)
        scene.sight.idlers = {key}
        await scene.look()
        scene.observer.spoke(key)
        scene.placement.take_back(key)
        assert scene.placement.cpu_used == 2000
        await scene.look()
        assert scene.placement.cpu_used == 1000

    play(2, scenario)


def test_who_said_that_it_waits_keeps_nothing_because_it_was_seen_to_wake_up() -> None:
    async def scenario(scene: Scene) -> None:
        key = AttemptKey(0)
        scene.sight.idlers = {key}
        await scene.look()
        scene.observer.spoke(key)
        scene.placement.lend(key)
        scene.sight.idlers = set()
        await scene.look()
        assert scene.placement.cpu_used == 1000

    play(2, scenario)


def test_a_look_costs_the_same_however_many_sleep_and_all_have_their_turn() -> None:
    async def scenario(scene: Scene) -> None:
        everybody = {AttemptKey(key) for key in range(300)}
        scene.sight.idlers = set(everybody)
        await scene.look()
        assert scene.placement.cpu_used == 0
        scene.sight.looks.clear()
        while set().union(*scene.sight.looks) != everybody:
            await scene.look()
        assert max(len(keys) for keys in scene.sight.looks) <= 40

    play(300, scenario)
