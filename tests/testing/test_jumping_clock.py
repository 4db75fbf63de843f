"""The clock of test sessions, on its own loop."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest

from volant.kit.clock import Timer
from volant.testing.jumping_clock import JumpingClock

HOUR = timedelta(hours=1)


def play(clock: JumpingClock, scenario: Callable[[], Awaitable[None]]) -> None:
    async def body() -> None:
        await scenario()

    with asyncio.Runner(loop_factory=clock.new_loop) as runner:
        runner.run(body())


def jumping() -> JumpingClock:
    clock = JumpingClock()
    clock.may_jump = lambda: True
    return clock


def test_timers_are_served_in_order_each_at_its_time() -> None:
    clock = jumping()
    start = clock.now()
    served: list[timedelta] = []

    async def scenario() -> None:
        done = asyncio.Event()
        for hours in (5, 1, 3):
            clock.call_at(start + hours * HOUR, lambda: served.append(clock.now() - start))
        clock.call_at(start + 6 * HOUR, done.set)
        await done.wait()

    play(clock, scenario)
    assert served == [HOUR, 3 * HOUR, 5 * HOUR]
    assert clock.now() == start + 6 * HOUR


def test_a_timer_that_was_called_off_is_not_jumped_to() -> None:
    clock = jumping()
    start = clock.now()

    async def scenario() -> None:
        done = asyncio.Event()
        clock.call_at(start + HOUR, lambda: pytest.fail("it was called off")).cancel()
        last = clock.call_at(start + 2 * HOUR, done.set)
        await done.wait()
        # Calling off what was served already does nothing.
        last.cancel()

    play(clock, scenario)
    assert clock.now() == start + 2 * HOUR


def test_a_timer_may_call_off_another_of_the_same_time() -> None:
    clock = jumping()
    when = clock.now() + HOUR

    async def scenario() -> None:
        done = asyncio.Event()
        others: list[Timer] = []

        def call_off() -> None:
            for other in others:
                other.cancel()

        clock.call_at(when, call_off)
        others.append(clock.call_at(when, lambda: pytest.fail("it was called off")))
        clock.call_at(when, done.set)
        await done.wait()

    play(clock, scenario)


def test_the_clock_waits_for_everything_that_is_ready_and_for_what_has_arrived() -> None:
    clock = jumping()
    happened: list[str] = []

    async def scenario() -> None:
        done = asyncio.Event()
        readable, writable = os.pipe()
        loop = asyncio.get_running_loop()

        def arrived() -> None:
            happened.append(os.read(readable, 10).decode())
            loop.remove_reader(readable)

        loop.add_reader(readable, arrived)
        clock.call_at(clock.now() + HOUR, lambda: (happened.append("an hour later"), done.set())[1])
        os.write(writable, b"arrived")
        for turn in range(3):
            happened.append(f"turn {turn}")
            await asyncio.sleep(0)
        await done.wait()
        os.close(readable)
        os.close(writable)

    play(clock, scenario)
    # What was written is seen in whichever turn, but before the jump.
    assert sorted(happened[:-1]) == ["arrived", "turn 0", "turn 1", "turn 2"]
    assert happened[-1] == "an hour later"


def test_the_clock_stands_still_while_it_may_not_jump_and_serves_a_timer_in_real_time_then() -> None:
    clock = JumpingClock()
    start = clock.now()
    asked: list[datetime] = []
    clock.may_jump = lambda: bool(asked.append(clock.now()))

    async def scenario() -> None:
        done = asyncio.Event()
        clock.call_at(start + timedelta(milliseconds=20), done.set)
        clock.call_at(start + HOUR, lambda: pytest.fail("an hour has not passed"))
        await done.wait()

    play(clock, scenario)
    assert set(asked) == {start}
    assert clock.now() == start + timedelta(milliseconds=20)


def test_a_time_that_has_passed_is_served_soon_and_the_clock_does_not_go_back() -> None:
    clock = jumping()
    start = clock.now()

    async def scenario() -> None:
        done = asyncio.Event()
        clock.call_at(start - HOUR, done.set)
        await done.wait()

    play(clock, scenario)
    assert clock.now() == start


def test_between_runs_the_clock_catches_up_with_the_machine_s() -> None:
    clock = jumping()
    start = clock.now()
    clock.is_idle = lambda: True

    async def scenario() -> None:
        await asyncio.sleep(0.001)
        caught_up = clock.now()
        assert start < caught_up <= datetime.now(UTC)
        done = asyncio.Event()
        clock.call_at(caught_up + HOUR, done.set)
        await done.wait()
        await asyncio.sleep(0.001)
        # It is ahead now, and never goes back.
        assert clock.now() == caught_up + HOUR

    play(clock, scenario)
