"""What comes at an awkward moment: ends while something starts, journals that refuse, launchers without room."""

import asyncio
from collections.abc import Collection
from pathlib import Path

import pytest

from tests.engine.worlds import PATIENCE, Peer, World, play, submission, world
from volant.journal.sqlite.journal import SqliteJournal
from volant.model.control_protocol import Refused
from volant.model.errors import EngineGoneError, JournalError
from volant.model.exits import Exit
from volant.model.ids import AttemptKey, RunId
from volant.model.payloads import Inline
from volant.model.phases import ActionPhase
from volant.model.worker_protocol import (
    AttemptFinished,
    EngineToWorker,
    Failed,
    SpecKnown,
    Succeeded,
    Waiting,
    WorkerToEngine,
)
from volant.ports.launcher import AttemptOrder, LauncherEvents
from volant.testing.memory_journal import MemoryJournal
from volant.testing.scripted_launcher import Lost, ScriptedAttempt, scripted_id

R = RunId("r")


class ManualLauncher:
    """Its attempts do what the test says."""

    def __init__(self, events: LauncherEvents) -> None:
        self.events = events
        self.orders: dict[AttemptKey, AttemptOrder] = {}
        self.ended: dict[AttemptKey, list[float]] = {}
        self.told: list[EngineToWorker] = []
        self.refusal: OSError | None = None

    def start(self, order: AttemptOrder) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.orders[order.key] = order

    def tell(self, key: AttemptKey, message: EngineToWorker) -> None:
        self.told.append(message)

    def end(self, key: AttemptKey, *, grace: float) -> None:
        self.ended.setdefault(key, []).append(grace)

    def idle(self, keys: Collection[AttemptKey]) -> set[AttemptKey]:
        return set()

    async def close(self) -> None:
        return None

    async def ordered(self, count: int = 1) -> AttemptKey:
        """The newest of so many attempts."""
        while len(self.orders) < count:
            await asyncio.sleep(0.001)
        return list(self.orders)[-1]

    def say(self, key: AttemptKey, message: WorkerToEngine) -> None:
        self.events.attempt_said(key, [message])


async def phase(world: World) -> ActionPhase:
    record = await world.journal.run(R)
    assert record is not None
    return record.phase


def done(key: AttemptKey) -> AttemptFinished:
    return AttemptFinished(attempt_key=key, outcome=Succeeded(outputs=Inline(data=b"")))


def test_a_worker_that_says_its_last_word_and_stays_is_ended_after_the_grace_period(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        launcher = ManualLauncher(world.engine)
        await world.submit("leaf", launcher=launcher, grace=0.02)
        key = await launcher.ordered()
        launcher.events.attempt_started(key, 1)
        launcher.say(key, done(key))
        while key not in launcher.ended:
            await asyncio.sleep(0.001)
        assert launcher.ended[key] == [0]
        launcher.events.attempt_gone(key, Exit(signal=9))
        await world.engine.until_ended(R)
        assert await phase(world) is ActionPhase.SUCCEEDED

    play(tmp_path, scenario)


def test_a_process_that_is_gone_before_it_was_said_to_have_started(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        launcher = ManualLauncher(world.engine)
        await world.submit("leaf", launcher=launcher)
        key = await launcher.ordered()
        launcher.events.attempt_gone(key, Exit(code=3))
        launcher.events.attempt_started(key, 1)
        launcher.say(key, done(key))
        await world.engine.until_ended(R)
        assert await phase(world) is ActionPhase.FAILED

    play(tmp_path, scenario)


def test_an_abort_while_the_next_attempt_is_prepared_starts_nothing(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        launcher = ManualLauncher(world.engine)
        await world.submit("leaf", launcher=launcher)
        key = await launcher.ordered()
        launcher.events.attempt_started(key, 1)
        assert isinstance(world.journal, MemoryJournal)
        world.journal.hold()
        launcher.events.attempt_gone(key, Exit(signal=9))
        for _ in range(10):
            await asyncio.sleep(0)
        # It was admitted, and now waits for the journal.
        assert world.engine.live_attempts == 1
        world.engine.abort(R, None, "enough")
        world.journal.release()
        await world.engine.until_ended(R)
        assert len(launcher.orders) == 1
        assert await phase(world) is ActionPhase.ABORTED
        assert world.engine.placement.processes == 0
        assert world.engine.placement.cpu_used == 0

    play(tmp_path, scenario, journal=MemoryJournal)


def test_an_attempt_that_the_machine_has_no_room_for_fails_and_the_run_ends(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        launcher = ManualLauncher(world.engine)
        launcher.refusal = OSError(24, "Too many open files")
        await world.submit("leaf", launcher=launcher)
        await world.engine.until_ended(R)
        record = await world.journal.run(R)
        assert record is not None
        assert record.failure is not None
        assert "Too many open files" in record.failure.message
        assert world.engine.live_attempts == 0

    play(tmp_path, scenario)


def test_a_worker_that_speaks_for_another_is_ended(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        launcher = ManualLauncher(world.engine)
        await world.submit("leaf", launcher=launcher, name="one")
        await world.submit("leaf", launcher=launcher, name="two")
        first, second = launcher.orders
        launcher.say(first, done(second))
        assert launcher.ended == {first: [0]}
        for key in (first, second):
            launcher.events.attempt_gone(key, Exit(code=1))
        await world.engine.until_ended(RunId("one"))

    play(tmp_path, scenario)


def test_garbage_from_a_worker_harms_only_its_own_attempt(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        launcher = ManualLauncher(world.engine)
        await world.submit("leaf", launcher=launcher, name="one")
        await world.submit("leaf", launcher=launcher, name="two")
        first, second = launcher.orders
        spec = next(iter(launcher.orders.values())).start.spec
        launcher.say(first, SpecKnown(spec=type(spec)("other"), body=b"\xc1"))
        assert launcher.ended == {first: [0]}
        launcher.events.attempt_gone(first, Exit(code=1))
        launcher.say(second, Waiting(attempt_key=second, told=10**9))
        launcher.say(second, done(second))
        launcher.events.attempt_gone(second, Exit(code=0))
        await world.engine.until_ended(RunId("two"))
        record = await world.journal.run(RunId("two"))
        assert record is not None
        assert record.phase is ActionPhase.SUCCEEDED

    play(tmp_path, scenario)


# A journal that refuses


def test_a_journal_that_refuses_is_told_to_who_waits_and_to_who_comes(tmp_path: Path) -> None:
    async def forever(attempt: ScriptedAttempt) -> bytes:
        await asyncio.sleep(3600)
        return b""

    async def scenario(world: World) -> None:
        await world.submit("forever")
        waiting = asyncio.ensure_future(world.engine.until_ended(R))
        await asyncio.sleep(0)
        assert isinstance(world.journal, MemoryJournal)
        world.journal.failure = JournalError("the disk is full")
        peer = await Peer.connect(world)
        refused = await peer.ask(submission("forever", name="late"))
        assert isinstance(refused, Refused)
        assert refused.error == "JournalError"
        with pytest.raises(JournalError, match="the disk is full"):
            await waiting
        late = await peer.ask(submission("forever", name="later"))
        assert isinstance(late, Refused)
        assert late.error == "EngineGoneError"
        with pytest.raises(JournalError):
            await world.engine.until_ended(R)
        await peer.leave()

    play(tmp_path, scenario, journal=MemoryJournal, breaks=True, forever=forever)


def test_a_full_disk_ends_nothing_twice_and_tells_nothing_that_is_not_committed(tmp_path: Path) -> None:
    told: list[str] = []

    async def leaf(attempt: ScriptedAttempt) -> bytes:
        return b"x" * 1000

    async def root(attempt: ScriptedAttempt) -> bytes:
        calls = [attempt.call("leaf", action=f"a{n}") for n in range(5000)]
        attempt.wait()
        for n, call in enumerate(calls):
            await call
            told.append(f"a{n}")
        return b""

    async def scenario(world: World) -> None:
        await world.submit("root")
        with pytest.raises(JournalError):
            await world.engine.until_ended(R)
        journal = await SqliteJournal.open(tmp_path / "journal.db", read_only=True)
        for name in told:
            record = await journal.action(R, scripted_id(scripted_id("root"), name))
            assert record is not None
            assert record.phase is ActionPhase.SUCCEEDED
        await journal.close()

    async def body() -> None:
        journal = await SqliteJournal.open(tmp_path / "journal.db", max_size=6 << 20)
        async with world(tmp_path, journal=journal, root=root, leaf=leaf) as found:
            await asyncio.wait_for(scenario(found), PATIENCE)
            assert found.broken

    asyncio.run(body())
    assert 0 < len(told) < 5000


# Leaving


def test_an_engine_that_leaves_writes_what_it_knows_and_starts_nothing_more(tmp_path: Path) -> None:
    async def root(attempt: ScriptedAttempt) -> bytes:
        calls = [attempt.call("forever", action=f"a{n}") for n in range(5)]
        attempt.wait()
        await asyncio.gather(*calls)
        return b""

    async def forever(attempt: ScriptedAttempt) -> bytes:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            raise Lost from None
        return b""

    async def scenario(world: World) -> None:
        await world.submit("root")
        while len(world.launcher.started) < 3:
            await asyncio.sleep(0.001)
        started = len(world.launcher.started)
        await world.engine.close()
        await world.launcher.close()
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(world.launcher.started) == started
        # What was being executed is left as it is: it was not lost, and nobody wanted its end.
        counts = await world.journal.count_actions(R)
        assert sum(counts.values()) == 6
        assert not any(found.is_final for found in counts)
        with pytest.raises(EngineGoneError):
            await world.submit("root", name="late")

    play(tmp_path, scenario, root=root, forever=forever)


def test_a_child_that_ends_while_its_lost_parent_is_read_about_is_executed_once(tmp_path: Path) -> None:
    """Children end in every turn of the loop while the parent's next attempt is prepared and begins."""

    async def leaf(attempt: ScriptedAttempt) -> bytes:
        for _ in range(int(attempt.inputs[1:]) % 40):
            await asyncio.sleep(0)
        return attempt.inputs

    async def root(attempt: ScriptedAttempt) -> bytes:
        calls = [attempt.call("leaf", action=f"a{n}") for n in range(120)]
        if attempt.number < 2:
            attempt.wait()
            await calls[0]
            raise Lost
        attempt.wait()
        outcomes = await asyncio.gather(*calls)
        assert all(isinstance(outcome, Succeeded) for outcome in outcomes)
        return b""

    async def scenario(world: World) -> None:
        record = await world.run("root")
        assert record.phase is ActionPhase.SUCCEEDED
        leaves = [action for name, action, _ in world.launcher.started if name == "leaf"]
        assert len(leaves) == len(set(leaves)) == 120

    async def body() -> None:
        async with world(tmp_path, cpu=100_000, root=root, leaf=leaf) as found:
            await asyncio.wait_for(scenario(found), PATIENCE)

    asyncio.run(body())


def test_a_flaky_leaf_below_two_levels_is_executed_again_when_its_grandparent_is_retried(tmp_path: Path) -> None:
    async def leaf(attempt: ScriptedAttempt) -> bytes:
        if attempt.number == 0:
            raise ValueError("not yet")
        return b""

    async def mid(attempt: ScriptedAttempt) -> bytes:
        call = attempt.call("leaf", action="leaf")
        attempt.wait()
        if isinstance(await call, Failed):
            raise ValueError("the leaf failed")
        return b""

    async def root(attempt: ScriptedAttempt) -> bytes:
        call = attempt.call("mid", action="mid")
        attempt.wait()
        if isinstance(await call, Failed):
            raise ValueError("the middle failed")
        return b""

    async def scenario(world: World) -> None:
        assert (await world.run("root", retries=1)).phase is ActionPhase.SUCCEEDED

    play(tmp_path, scenario, root=root, mid=mid, leaf=leaf)
