"""The sync face: wherever it is called from, it blocks, returns, raises, and leaves nothing behind."""

import asyncio
import contextvars
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import ModuleType

import pytest

from volant.client import driving
from volant.client.driving import both, drive
from volant.model.errors import CallError


class Thing:
    def __init__(self) -> None:
        self.thread: int | None = None

    @both
    async def double(self, number: int, *, plus: int = 0) -> int:
        """Twice as much."""
        await asyncio.sleep(0)
        self.thread = threading.get_ident()
        if number < 0:
            raise ValueError(number)
        return 2 * number + plus


def test_a_call_blocks_in_the_calling_thread() -> None:
    thing = Thing()
    assert thing.double(2, plus=1) == 5
    assert thing.thread == threading.get_ident()


def test_the_twin_is_awaited() -> None:
    assert asyncio.run(Thing().double.aio(2, plus=1)) == 5


def test_what_is_raised_is_raised() -> None:
    with pytest.raises(ValueError, match="-1"):
        Thing().double(-1)


def test_the_documentation_is_kept() -> None:
    assert Thing.double.__doc__ == Thing().double.__doc__ == "Twice as much."


def test_under_a_running_loop_the_error_names_the_twin() -> None:
    async def main() -> None:
        with pytest.raises(CallError, match=r"Thing\.double\(\) was called where an event loop is running") as caught:
            Thing().double(1)
        assert caught.value.hint == "use 'await Thing.double.aio(...)' there"

    asyncio.run(main())


def test_a_refused_call_leaves_no_coroutine_that_was_never_awaited() -> None:
    made: list[str] = []

    async def main() -> None:
        def make() -> object:
            made.append("made")
            raise AssertionError

        with pytest.raises(CallError):
            drive(make, name="x")  # type: ignore[arg-type]

    asyncio.run(main())
    assert made == []


@pytest.mark.parametrize("anywhere", [True, False])
def test_in_an_interactive_session_a_running_loop_is_no_obstacle(
    monkeypatch: pytest.MonkeyPatch, anywhere: bool
) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    monkeypatch.setattr(driving, "is_interactive", lambda: not anywhere)

    async def read() -> tuple[str, int]:
        return variable.get(), threading.get_ident()

    async def main() -> None:
        variable.set("seen")
        found, thread = drive(read, name="x", anywhere=anywhere)
        assert found == "seen"
        assert thread != threading.get_ident()

    asyncio.run(main())
    assert all(thread.name != "volant-sync" for thread in threading.enumerate())


def test_errors_come_out_of_the_helper_thread() -> None:
    async def fail() -> None:
        raise LookupError("inside")

    async def main() -> None:
        with pytest.raises(LookupError, match="inside"):
            drive(fail, name="x", anywhere=True)

    asyncio.run(main())


def test_it_works_in_a_thread_beside_a_running_loop() -> None:
    async def main() -> int:
        return await asyncio.to_thread(lambda: Thing().double(4))

    assert asyncio.run(main()) == 8


def test_the_current_loop_of_the_thread_stays_the_users() -> None:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        Thing().double(1)
        assert asyncio.get_event_loop_policy().get_event_loop() is loop
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def test_no_thread_is_left_behind() -> None:
    before = threading.active_count()
    Thing().double(1)
    assert threading.active_count() == before


def interrupted_after_first_step(clean_up: Callable[[], None]) -> None:
    """A main that presses Ctrl-C on its own process, and cleans up."""

    async def main() -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            clean_up()
            raise

    drive(main, name="x")


def test_an_interrupt_cleans_up_and_is_raised_without_our_inside() -> None:
    done: list[bool] = []
    with pytest.raises(KeyboardInterrupt) as caught:
        interrupted_after_first_step(lambda: done.append(True))
    assert done == [True]
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("shell", [None, object()], ids=["parts of IPython are imported", "in a shell"])
def test_only_a_shell_is_interactive(monkeypatch: pytest.MonkeyPatch, shell: object) -> None:
    ipython = ModuleType("IPython")
    ipython.get_ipython = lambda: shell  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "ipykernel", ModuleType("ipykernel"))
    monkeypatch.delattr(sys, "ps1", raising=False)
    assert driving.is_interactive() is (shell is not None)
