"""An engine that loses one run goes on with the others."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from tests.engine.worlds import PATIENCE, Peer, World, submission, world
from volant.engine.watching import Watcher
from volant.model.control_protocol import Refused, ResumeRun, RunAccepted, RunEvents, WatchRun
from volant.model.errors import BatchRefusedError, EngineError, JournalError
from volant.model.ids import RunId
from volant.model.phases import ActionPhase
from volant.model.records import Batch, RunRecord
from volant.model.worker_protocol import Outcome
from volant.ports.leases import Lease
from volant.testing.journal import sample_run
from volant.testing.memory_journal import MemoryJournal, MemoryStore
from volant.testing.memory_leases import MemoryLeases
from volant.testing.scripted_launcher import ScriptedAttempt

LOST, KEPT = RunId("lost"), RunId("kept")


class Shared:
    """A journal that this engine shares with another."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.leases = MemoryLeases(self.store, owner="engine")
        self.other = MemoryLeases(self.store, owner="other")
        self.journal = MemoryJournal(self.store, leases=self.leases)
        self.gate = asyncio.Event()
        """Roots wait at it."""

    async def script(self, attempt: ScriptedAttempt) -> bytes:
        await attempt.call("leaf", action="a")
        await self.gate.wait()
        await attempt.call("leaf", action="b")
        return b"done"

    async def take(self, run: RunId) -> None:
        self.store.leases[run].until = self.store.now() - timedelta(seconds=1)
        assert isinstance(await self.other.acquire(run), Lease)


async def leaf(_: ScriptedAttempt) -> bytes:
    await asyncio.sleep(0)
    return b""


def play(folder: Path, scenario: Callable[[World, Shared], Awaitable[None]]) -> None:
    async def body() -> None:
        shared = Shared()
        async with world(
            folder, journal=shared.journal, leases=shared.leases, main=shared.script, leaf=leaf, cpu=8000
        ) as found:
            await asyncio.wait_for(scenario(found, shared), PATIENCE)
            assert found.broken == []

    asyncio.run(body())


async def both_live(found: World) -> None:
    for name in (LOST, KEPT):
        await found.submit("main", name=name)
    until = asyncio.get_running_loop().time() + PATIENCE
    while len(found.launcher.started) < 4:
        assert asyncio.get_running_loop().time() < until
        await asyncio.sleep(0)
    await found.engine.until_ended(RunId("nowhere"))


@pytest.mark.parametrize("hears", [True, False], ids=["it hears of the loss", "a commit is refused"])
def test_a_run_that_was_lost_is_given_up_alone(tmp_path: Path, hears: bool) -> None:
    async def scenario(found: World, shared: Shared) -> None:
        await both_live(found)
        watching = await Peer.connect(found)
        watching.say(WatchRun(request=1, run=LOST, after=0))
        while not isinstance(await watching.hear(), RunEvents):
            pass
        ending = asyncio.ensure_future(found.engine.until_ended(LOST))
        await asyncio.sleep(0)
        await shared.take(LOST)
        before = list(await shared.journal.changes(LOST))
        if hears:
            found.engine.give_up(LOST, BatchRefusedError("another engine took it"))
        shared.gate.set()
        await found.engine.until_ended(KEPT)
        with pytest.raises(JournalError):
            await ending
        await found.engine.until_gone(LOST)
        assert found.given_up == [LOST]
        assert found.engine.is_idle
        assert found.engine.live_attempts == 0
        kept = await shared.journal.run(KEPT)
        assert kept is not None
        assert kept.phase is ActionPhase.SUCCEEDED
        # Not a row of it was written since it belongs to another.
        assert list(await shared.journal.changes(LOST)) == before
        said = await watching.until_closed()
        await watching.leave()
        assert not any(isinstance(each, RunEvents) and each.ended is not None for each in said)
        asking = await Peer.connect(found)
        refused = await asking.ask(ResumeRun(request=2, run=LOST, environ={}))
        assert isinstance(refused, Refused)
        assert "belongs to engine other" in refused.message
        await asking.leave()

    play(tmp_path, scenario)


def test_a_run_that_was_given_up_can_be_resumed_by_the_same_engine(tmp_path: Path) -> None:
    async def scenario(found: World, shared: Shared) -> None:
        peer = await Peer.connect(found)
        await peer.ask(submission("main", name=LOST))
        while len(found.launcher.started) < 2:
            await asyncio.sleep(0)
        found.engine.give_up(LOST, BatchRefusedError("a row of it could not be stored"))
        shared.gate.set()
        assert isinstance(await peer.ask(ResumeRun(request=2, run=LOST, environ={})), RunAccepted)
        await found.engine.until_ended(LOST)
        record = await shared.journal.run(LOST)
        assert record is not None
        assert record.phase is ActionPhase.SUCCEEDED
        await peer.leave()

    play(tmp_path, scenario)


def test_a_run_that_comes_back_is_resumed_when_nothing_of_before_is_alive(tmp_path: Path) -> None:
    """It was another engine's meanwhile, whose processes are gone; those that were left here are not."""

    async def body() -> None:
        shared, may_leave = Shared(), asyncio.Event()

        async def stubborn(attempt: ScriptedAttempt) -> bytes:
            try:
                await shared.gate.wait()
            except asyncio.CancelledError:
                await may_leave.wait()
                raise
            return b""

        async with world(tmp_path, journal=shared.journal, leases=shared.leases, main=stubborn) as found:
            peer = await Peer.connect(found)
            await peer.ask(submission("main", name=LOST))
            while not found.launcher.started:
                await asyncio.sleep(0)
            await shared.take(LOST)
            found.engine.give_up(LOST, BatchRefusedError("another engine took it"))
            other = MemoryJournal(shared.store, leases=shared.other)
            record = await other.run(LOST)
            assert record is not None
            await other.commit(Batch(runs=(msgspec.structs.replace(record, owner="other", token=2),)))
            await shared.other.release(LOST)
            shared.gate.set()
            resuming = asyncio.ensure_future(peer.ask(ResumeRun(request=2, run=LOST, environ={})))
            for _ in range(100):
                await asyncio.sleep(0)
            assert len(found.launcher.started) == 1
            may_leave.set()
            assert isinstance(await asyncio.wait_for(resuming, PATIENCE), RunAccepted)
            await found.engine.until_ended(LOST)
            assert len(found.launcher.started) == 2
            await peer.leave()

    asyncio.run(body())


def test_of_two_engines_that_want_one_name_at_once_the_slower_refuses_its_submission_and_goes_on(
    tmp_path: Path,
) -> None:
    async def scenario(found: World, shared: Shared) -> None:
        other = MemoryJournal(shared.store, leases=shared.other)
        peer = await Peer.connect(found)
        shared.journal.hold()
        peer.say(submission("main", name="wanted"))
        while not found.engine.runs:
            await asyncio.sleep(0)
        await other.commit(Batch(runs=(sample_run("wanted"),)))
        shared.journal.release()
        answer = await peer.hear()
        assert isinstance(answer, Refused)
        assert answer.error == "RunNameTakenError"
        assert found.engine.is_idle
        await peer.leave()
        await found.submit("leaf", name="next")
        await found.engine.until_ended(RunId("next"))

    play(tmp_path, scenario)


def test_who_said_its_last_word_to_a_run_that_was_lost_does_not_wait_for_an_answer(tmp_path: Path) -> None:
    """The word is not committed, so it is never accepted."""

    async def scenario(found: World, shared: Shared) -> None:
        found.launcher.stays = True
        await both_live(found)
        await shared.take(LOST)
        # All attempts have said their last word by the time that its commit is refused.
        shared.gate.set()
        await found.engine.until_ended(KEPT)
        await asyncio.wait_for(found.engine.until_gone(LOST), PATIENCE)
        assert found.given_up == [LOST]

    play(tmp_path, scenario)


def test_who_begins_to_watch_a_run_at_the_moment_of_its_loss_is_not_told_that_it_has_ended() -> None:
    async def body() -> None:
        told: list[object] = []
        done: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()

        async def stored(run: RunId) -> tuple[RunRecord, Outcome | None]:
            return sample_run(run, phase=ActionPhase.RUNNING), None

        Watcher(
            run=LOST,
            after=0,
            journal=MemoryJournal(),
            live=lambda run: None,
            ended=stored,
            send=lambda changes, ended, outcome: told.append(ended),
            room=asyncio.Event().wait,
            done=lambda watcher, error: done.set_result(error),
        )
        assert isinstance(await asyncio.wait_for(done, PATIENCE), EngineError)
        assert told == []

    asyncio.run(body())
