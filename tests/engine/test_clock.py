"""The engine's clock: one queue for all that waits for a time."""

import asyncio
import gc
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest

from volant.kit import clock as clocks
from volant.kit.clock import LoopClock

T0 = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


class _Loop(asyncio.SelectorEventLoop):
    """Its time goes on when a test says so."""

    ahead = 0.0

    def time(self) -> float:
        return super().time() + self.ahead


class _Wall:
    """The wall clock of a test, in place of the class `datetime`."""

    def __init__(self) -> None:
        self.time = T0

    def now(self, _zone: object) -> datetime:
        return self.time


class _Room:
    def __init__(self, loop: _Loop, wall: _Wall) -> None:
        self.loop = loop
        self.wall = wall
        self.clock = LoopClock()
        self.called: list[str] = []

    def set(self, name: str, at: datetime) -> clocks.Timer:
        return self.clock.call_at(at, lambda: self.called.append(name))

    async def pass_by(self, *, real: timedelta, wall: timedelta) -> None:
        self.loop.ahead += real.total_seconds()
        self.wall.time += wall
        await self.settle()

    async def settle(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[_Room], Awaitable[None]]], None]:
    wall = _Wall()
    monkeypatch.setattr(clocks, "datetime", wall)

    def run(scenario: Callable[[_Room], Awaitable[None]]) -> None:
        async def body() -> None:
            loop = asyncio.get_running_loop()
            assert isinstance(loop, _Loop)
            await scenario(_Room(loop, wall))

        with asyncio.Runner(loop_factory=_Loop) as runner:
            runner.run(body())

    return run


Play = Callable[[Callable[[_Room], Awaitable[None]]], None]


def test_calls_come_in_their_order_each_at_its_time(play: Play) -> None:
    async def scenario(room: _Room) -> None:
        for hours in (5, 1, 3):
            room.set(f"{hours}", T0 + hours * HOUR)
        assert room.called == []
        await room.pass_by(real=HOUR, wall=HOUR)
        assert room.called == ["1"]
        await room.pass_by(real=4 * HOUR, wall=4 * HOUR)
        assert room.called == ["1", "3", "5"]

    play(scenario)


def test_the_loop_has_one_timer_for_all(play: Play) -> None:
    async def scenario(room: _Room) -> None:
        before = len(room.loop._scheduled)  # type: ignore[attr-defined]
        for hours in range(1000, 0, -1):
            room.set(f"{hours}", T0 + 100 * HOUR)
        room.set("last", T0 + 99 * HOUR)
        live = [timer for timer in room.loop._scheduled if not timer.cancelled()]  # type: ignore[attr-defined]
        # The other one looks at the wall clock.
        assert len(live) - before <= 2

    play(scenario)


def test_what_was_called_off_does_not_come_and_takes_no_memory(play: Play) -> None:
    async def scenario(room: _Room) -> None:
        timers = [room.set(f"{number}", T0 + HOUR) for number in range(10_000)]
        for timer in timers[1:]:
            timer.cancel()
            timer.cancel()
        del timers[1:], timer
        gc.collect()
        kept = [each for each in gc.get_objects() if type(each).__name__ == "_Queued"]
        assert len(kept) < 1000
        await room.pass_by(real=HOUR, wall=HOUR)
        assert room.called == ["0"]
        timers[0].cancel()

    play(scenario)


def test_a_wall_clock_that_is_set_back_delays_nothing(play: Play) -> None:
    async def scenario(room: _Room) -> None:
        room.set("first", T0 + HOUR)
        room.set("second", T0 + 2 * HOUR)
        await room.pass_by(real=HOUR, wall=-5 * HOUR)
        assert room.called == ["first"]
        await room.pass_by(real=HOUR, wall=HOUR)
        assert room.called == ["first", "second"]
        assert room.clock.now() == T0 + 2 * HOUR

    play(scenario)


def test_what_came_due_while_the_machine_slept_is_noticed(play: Play) -> None:
    async def scenario(room: _Room) -> None:
        room.set("morning", T0 + 8 * HOUR)
        room.set("evening", T0 + 20 * HOUR)
        # The timers of the loop stood still.
        await room.pass_by(real=timedelta(seconds=31), wall=9 * HOUR)
        assert room.called == ["morning"]
        await room.pass_by(real=11 * HOUR, wall=11 * HOUR)
        assert room.called == ["morning", "evening"]

    play(scenario)


def test_many_that_are_due_together_leave_turns_to_others(play: Play) -> None:
    async def scenario(room: _Room) -> None:
        for number in range(1000):
            room.set(f"{number}", T0 + HOUR)
        room.loop.ahead += 3600
        room.wall.time += HOUR
        seen = set()
        while len(room.called) < 1000:
            await asyncio.sleep(0)
            seen.add(len(room.called))
        assert len(seen) > 3
        assert len(set(room.called)) == 1000

    play(scenario)


def test_one_that_is_set_while_others_are_called_comes_too(play: Play) -> None:
    async def scenario(room: _Room) -> None:
        room.clock.call_at(T0 + HOUR, lambda: room.set("soon", T0) and None)
        await room.pass_by(real=HOUR, wall=HOUR)
        assert room.called == ["soon"]

    play(scenario)
