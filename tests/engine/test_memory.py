"""Memory is bounded by live actions, never by cumulative ones."""

import asyncio
import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.worlds import Peer, World, play, submission
from volant.decide.live import LiveAction, LiveAttempt
from volant.decide.replay import Replay
from volant.decide.run_machine import RunMachine
from volant.engine.live_run import KnownSpec, LiveRun
from volant.engine.service import Client
from volant.engine.watching import Watcher
from volant.launchers.inline import InlineLauncher
from volant.model.control_protocol import RunEvents, ToInline, WatchRun
from volant.model.ids import RunId
from volant.testing.scripted_launcher import Lost, ScriptedAttempt

KINDS = (LiveAction, LiveAttempt, LiveRun, RunMachine, Replay, KnownSpec, Watcher)


@pytest.fixture(autouse=True)
def _only_what_is_new() -> Iterator[None]:
    """Leave what earlier tests made out of collections and counts: with a whole suite's it takes minutes."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def kept() -> dict[str, int]:
    """What of a run is still in memory."""
    gc.collect()
    found = [type(thing).__name__ for thing in gc.get_objects() if type(thing) in KINDS]
    return {name: found.count(name) for name in set(found)}


def filled(thing: object, seen: set[int]) -> list[str]:
    """Collections of ours, reachable from *thing*, that are not empty."""
    found: list[str] = []
    for name, value in vars(thing).items():
        if isinstance(value, (dict, list, set)):
            if value:
                found.append(f"{type(thing).__name__}.{name}: {len(value)}")
        elif type(value).__module__.startswith(("volant.engine", "volant.decide")) and id(value) not in seen:
            seen.add(id(value))
            if hasattr(value, "__dict__"):
                found += filled(value, seen)
    return found


async def leaf(attempt: ScriptedAttempt) -> bytes:
    if attempt.inputs.endswith(b"7") and attempt.number == 0:
        raise ValueError("once")
    return b""


def test_nothing_of_a_run_is_kept_when_it_has_ended(tmp_path: Path) -> None:
    async def root(attempt: ScriptedAttempt) -> bytes:
        calls = [attempt.call("leaf", action=f"a{n}", retries=1) for n in range(100)]
        dropped = attempt.call("forever", action="dropped")
        attempt.wait()
        await asyncio.gather(*calls)
        attempt.cancel(dropped)
        await dropped
        if attempt.number < 2:
            raise Lost
        return b""

    async def forever(attempt: ScriptedAttempt) -> bytes:
        await asyncio.sleep(3600)
        return b""

    async def scenario(world: World) -> None:
        peer = await Peer.connect(world)
        for n in range(5):
            await world.submit("root", name=f"run{n}")
            peer.say(WatchRun(request=1, run=RunId(f"run{n}")))
            await world.engine.until_ended(RunId(f"run{n}"))
            while not (isinstance(told := await peer.hear(), RunEvents) and told.ended is not None):
                pass
        # A run that is aborted while its only action backs off, or waits for a place.
        await world.submit("root", name="aborted")
        world.engine.abort(RunId("aborted"), None, "enough")
        await world.engine.until_ended(RunId("aborted"))
        await peer.leave()
        while world.service.clients:
            await asyncio.sleep(0.001)
        assert kept() == {}
        assert filled(world.engine, set()) == []
        assert filled(world.service, set()) == []

    play(tmp_path, scenario, root=root, leaf=leaf, forever=forever)


def test_children_that_have_ended_are_not_kept_while_their_parent_goes_on(tmp_path: Path) -> None:
    counts: list[dict[str, int]] = []

    async def root(attempt: ScriptedAttempt) -> bytes:
        for n in range(400):
            call = attempt.call("leaf", action=f"a{n}", retries=1)
            attempt.wait()
            await call
            if n % 100 == 50:
                counts.append(kept())
        return b""

    async def scenario(world: World) -> None:
        await world.run("root")

    play(tmp_path, scenario, root=root, leaf=leaf)
    assert len(counts) == 4
    assert max(count["LiveAction"] for count in counts) <= 8
    assert max(count["LiveAttempt"] for count in counts) <= 8


def test_a_client_that_left_is_let_go_at_once_and_not_when_cycles_are_looked_for(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        gc.disable()
        try:
            for n in range(3):
                peer = await Peer.connect(world)
                peer.say(submission("leaf", name=f"run{n}", mode="inline"))
                while not isinstance(await peer.hear(), ToInline):
                    pass
                await peer.leave()
                while RunId(f"run{n}") in world.engine.runs:
                    await asyncio.sleep(0.001)
            while world.service.clients or not world.engine.is_idle:
                await asyncio.sleep(0.001)
            found = [type(thing).__name__ for thing in gc.get_objects() if type(thing) in (Client, InlineLauncher)]
        finally:
            gc.enable()
        # The last one may be in a variable of the loop's.
        assert len(found) <= 2

    play(tmp_path, scenario)
