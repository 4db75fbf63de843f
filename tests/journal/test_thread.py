"""A thread beside a loop that never rests."""

import asyncio
import threading
import time

from volant.journal.sqlite.thread import LoopThread


def test_jobs_are_done_in_order_in_another_thread_and_told_on_the_loop() -> None:
    async def body() -> None:
        thread = LoopThread("test")
        told: list[object] = []
        finished = asyncio.Event()

        def fails() -> None:
            raise ValueError("wrong")

        thread.run(threading.get_ident, lambda result, error: told.append((result, error)))
        thread.run(fails, lambda result, error: told.append((result, error)))
        thread.run(threading.get_ident, lambda *_: (told.append(threading.get_ident()), finished.set()))
        thread.stop()
        await finished.wait()
        (ident, nothing), (no_result, error), here = told  # type: ignore[misc]
        assert ident != threading.get_ident()
        assert nothing is None
        assert no_result is None
        assert isinstance(error, ValueError)
        assert here == threading.get_ident()

    asyncio.run(body())


def test_a_job_has_begun_when_the_loop_goes_on() -> None:
    async def body() -> None:
        thread = LoopThread("test", hand_over=60)
        for _ in range(10):
            begun, done = threading.Event(), asyncio.Event()
            thread.run(begun.set, lambda *_, done=done: done.set())
            # No turn of the loop, no other release of the interpreter between.
            assert begun.is_set()
            await done.wait()
        thread.stop()

    asyncio.run(body())


def test_a_loop_that_never_rests_lets_the_thread_finish() -> None:
    """The job needs the interpreter again and again; the loop does not make it wait for each time."""

    async def body() -> None:
        thread = LoopThread("test", hand_over=60)
        done = asyncio.Event()

        def work() -> None:
            for _ in range(100):
                time.sleep(0.0001)

        thread.run(work, lambda *_: done.set())
        turns = 0
        while not done.is_set():
            sum(range(2_000))
            turns += 1
            await asyncio.sleep(0)
        assert turns < 100
        thread.stop()

    asyncio.run(body())


def test_a_thread_outlives_its_loop_quietly() -> None:
    async def body() -> threading.Event:
        thread, begin = LoopThread("test-orphan"), threading.Event()
        thread.run(begin.wait, lambda *_: None)
        return begin

    begin = asyncio.run(body())
    orphans = [thread for thread in threading.enumerate() if thread.name == "test-orphan"]
    begin.set()
    for orphan in orphans:
        orphan.join(10)
        assert not orphan.is_alive()
