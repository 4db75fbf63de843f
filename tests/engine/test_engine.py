"""The engine with a real journal and scripted attempts: what it tells, when, and what it never does."""

import asyncio
from pathlib import Path

import pytest

from tests.engine.worlds import World, play
from volant.journal.sqlite.journal import SqliteJournal
from volant.model.ids import RunId
from volant.model.payloads import Inline
from volant.model.phases import ActionPhase
from volant.model.worker_protocol import Aborted, Failed, Succeeded
from volant.testing.scripted_launcher import Lost, ScriptedAttempt, scripted_id


async def leaf(attempt: ScriptedAttempt) -> bytes:
    return attempt.inputs


def test_committed_before_told(tmp_path: Path) -> None:
    unwritten: list[str] = []

    async def root(attempt: ScriptedAttempt) -> bytes:
        calls = [attempt.call("leaf", action=f"a{n}") for n in range(50)]
        for n, call in enumerate(calls):
            await call
            # A second connection to the file sees only what is committed.
            other = await SqliteJournal.open(tmp_path / "journal.db", read_only=True)
            record = await other.action(RunId("r"), scripted_id(scripted_id("root"), f"a{n}"))
            if record is None or record.phase is not ActionPhase.SUCCEEDED:
                unwritten.append(f"a{n}")
            await other.close()
        return b"done"

    async def scenario(world: World) -> None:
        assert (await world.run("root")).phase is ActionPhase.SUCCEEDED

    play(tmp_path, scenario, root=root, leaf=leaf)
    assert unwritten == []


def test_a_wide_fan_out_keeps_to_the_cores_and_leaves_nothing_alive(tmp_path: Path) -> None:
    async def root(attempt: ScriptedAttempt) -> bytes:
        calls = [attempt.call("leaf", action=f"a{n}") for n in range(2000)]
        attempt.wait()
        outcomes = await asyncio.gather(*calls)
        assert all(isinstance(outcome, Succeeded) for outcome in outcomes)
        return b"done"

    async def scenario(world: World) -> None:
        record = await world.run("root")
        assert record.phase is ActionPhase.SUCCEEDED
        assert world.engine.is_idle
        assert world.engine.live_attempts == 0
        assert world.engine.placement.cpu_used == 0
        assert world.engine.placement.processes == 0
        assert (await world.journal.count_actions(RunId("r"))) == {ActionPhase.SUCCEEDED: 2001}
        # The root, which waits, two that work, and those whose process has not gone yet.
        assert world.launcher.most_live <= 8

    play(tmp_path, scenario, root=root, leaf=leaf)


def test_never_run_again_what_was_told(tmp_path: Path) -> None:
    async def root(attempt: ScriptedAttempt) -> bytes:
        order = range(20) if attempt.number == 0 else reversed(range(20))
        calls = {n: attempt.call("leaf", action=f"a{n}") for n in order}
        attempt.wait()
        for n in range(10):
            assert await calls[n] == Succeeded(outputs=Inline(data=f"a{n}".encode()))
        if attempt.number < 2:
            raise Lost
        await asyncio.gather(*calls.values())
        return b"done"

    async def scenario(world: World) -> None:
        assert (await world.run("root")).phase is ActionPhase.SUCCEEDED
        leaves = [action for name, action, _ in world.launcher.started if name == "leaf"]
        assert len(leaves) == len(set(leaves)) == 20

    play(tmp_path, scenario, root=root, leaf=leaf)


def test_a_race_has_the_same_winner_after_a_loss(tmp_path: Path) -> None:
    winners: list[str] = []

    async def slow(attempt: ScriptedAttempt) -> bytes:
        await asyncio.sleep(0.05)
        return b"slow"

    async def root(attempt: ScriptedAttempt) -> bytes:
        calls = {name: attempt.call(name, action=name) for name in ("slow", "leaf")}
        attempt.wait()
        await asyncio.gather(*calls.values())
        winners.append(str(attempt.told[0].action))
        if attempt.number == 0:
            raise Lost
        return b"done"

    async def scenario(world: World) -> None:
        await world.run("root")

    play(tmp_path, scenario, root=root, slow=slow, leaf=leaf)
    assert winners == [scripted_id(scripted_id("root"), "leaf")] * 2


def test_a_failure_is_executed_again_after_the_parent_s_own_failure(tmp_path: Path) -> None:
    async def shaky(attempt: ScriptedAttempt) -> bytes:
        if attempt.number == 0:
            raise ValueError("not yet")
        return b"fine"

    async def root(attempt: ScriptedAttempt) -> bytes:
        good = attempt.call("leaf", action="good")
        bad = attempt.call("shaky", action="bad")
        attempt.wait()
        if isinstance(await bad, Failed):
            raise ValueError("a child failed")
        await good
        return b"done"

    async def scenario(world: World) -> None:
        assert (await world.run("root", retries=1)).phase is ActionPhase.SUCCEEDED
        assert [number for name, _, number in world.launcher.started if name == "shaky"] == [0, 1]
        assert [number for name, _, number in world.launcher.started if name == "leaf"] == [0]
        attempts = await world.journal.attempts(RunId("r"), scripted_id(scripted_id("root"), "bad"))
        assert [attempt.phase for attempt in attempts] == [ActionPhase.FAILED, ActionPhase.SUCCEEDED]

    play(tmp_path, scenario, root=root, shaky=shaky, leaf=leaf)


def test_a_cancelled_call_is_answered_once_the_abort_is_committed(tmp_path: Path) -> None:
    async def forever(attempt: ScriptedAttempt) -> bytes:
        await asyncio.sleep(3600)
        return b""

    async def root(attempt: ScriptedAttempt) -> bytes:
        call = attempt.call("forever", action="f")
        await asyncio.sleep(0.02)
        attempt.cancel(call)
        assert isinstance(await call, Aborted)
        other = await SqliteJournal.open(tmp_path / "journal.db", read_only=True)
        record = await other.action(RunId("r"), scripted_id(scripted_id("root"), "f"))
        await other.close()
        assert record is not None
        assert record.phase is ActionPhase.ABORTED
        return b"done"

    async def scenario(world: World) -> None:
        assert (await world.run("root")).phase is ActionPhase.SUCCEEDED

    play(tmp_path, scenario, root=root, forever=forever)


def test_an_aborted_run_leaves_nothing_alive(tmp_path: Path) -> None:
    async def forever(attempt: ScriptedAttempt) -> bytes:
        await asyncio.sleep(3600)
        return b""

    async def root(attempt: ScriptedAttempt) -> bytes:
        calls = [attempt.call("forever", action=f"f{n}") for n in range(20)]
        attempt.wait()
        await asyncio.gather(*calls)
        return b"done"

    async def scenario(world: World) -> None:
        await world.submit("root")
        await asyncio.sleep(0.05)
        world.engine.abort(RunId("r"), None, "enough")
        await world.engine.until_ended(RunId("r"))
        assert world.launcher.live == 0
        record = await world.journal.run(RunId("r"))
        assert record is not None
        assert record.phase is ActionPhase.ABORTED
        assert (await world.journal.count_actions(RunId("r"))) == {ActionPhase.ABORTED: 21}

    play(tmp_path, scenario, root=root, forever=forever)


@pytest.mark.parametrize("depth", [50])
def test_recursion_deeper_than_the_cores_finishes(tmp_path: Path, depth: int) -> None:
    async def nested(attempt: ScriptedAttempt) -> bytes:
        level = int(attempt.inputs or b"0")
        if level < depth:
            call = attempt.call("nested", action=str(level + 1))
            attempt.wait()
            await call
        return b"x"

    async def scenario(world: World) -> None:
        assert (await world.run("nested")).phase is ActionPhase.SUCCEEDED

    play(tmp_path, scenario, nested=nested)


@pytest.mark.parametrize("at_once", [1, 2, 5])
def test_no_more_actions_of_a_run_work_at_once_than_it_allows(tmp_path: Path, at_once: int) -> None:
    working: set[str] = set()
    most = 0

    async def root(attempt: ScriptedAttempt) -> bytes:
        calls = [attempt.call("middle", action=f"m{n}") for n in range(4)]
        attempt.wait()
        await asyncio.gather(*calls)
        return b"done"

    async def middle(attempt: ScriptedAttempt) -> bytes:
        calls = [attempt.call("worker", action=f"w{n}") for n in range(5)]
        attempt.wait()
        await asyncio.gather(*calls)
        return b"done"

    async def worker(attempt: ScriptedAttempt) -> bytes:
        nonlocal most
        working.add(attempt.action)
        most = max(most, len(working))
        # It talks to somebody: its CPU is lent, but it runs.
        attempt.wait()
        await asyncio.sleep(0.001)
        working.remove(attempt.action)
        return b"done"

    async def scenario(world: World) -> None:
        assert (await world.run("root", at_once=at_once)).phase is ActionPhase.SUCCEEDED
        assert most == at_once

    play(tmp_path, scenario, root=root, middle=middle, worker=worker)


def test_two_runs_at_once_both_end(tmp_path: Path) -> None:
    async def root(attempt: ScriptedAttempt) -> bytes:
        calls = [attempt.call("leaf", action=f"a{n}") for n in range(100)]
        attempt.wait()
        await asyncio.gather(*calls)
        return b"done"

    async def scenario(world: World) -> None:
        records = await asyncio.gather(world.run("root", name="one"), world.run("root", name="two"))
        assert {record.phase for record in records} == {ActionPhase.SUCCEEDED}

    play(tmp_path, scenario, root=root, leaf=leaf)
