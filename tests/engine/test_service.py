"""Clients of every kind: what they are told, and that none of them harms the engine or another."""

import asyncio
import socket
import struct
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.engine.worlds import Peer, World, play, submission, world
from volant.engine import ending, service
from volant.model.control_protocol import (
    AbortRun,
    Done,
    FromInline,
    GetRun,
    ListRuns,
    Refused,
    RunAccepted,
    RunDetails,
    RunEvents,
    RunList,
    StopEngine,
    ToInline,
    WatchRun,
)
from volant.model.failures import Failure, FailureKind
from volant.model.ids import ActionId, RunId
from volant.model.payloads import Inline
from volant.model.phases import ActionPhase
from volant.model.records import ActionRecord, AttemptRecord, Batch, Change, ChangeKind, RunRecord
from volant.model.worker_protocol import AttemptFinished, Failed, StartAttempt
from volant.ports.journal import Journal
from volant.testing.memory_journal import MemoryJournal, MemoryStore
from volant.testing.memory_leases import MemoryLeases
from volant.testing.scripted_launcher import ScriptedAttempt, scripted_id

R = RunId("r")


async def leaf(attempt: ScriptedAttempt) -> bytes:
    return attempt.inputs


async def forever(attempt: ScriptedAttempt) -> bytes:
    await asyncio.sleep(3600)
    return b""


def wide(width: int):  # type: ignore[no-untyped-def]
    async def root(attempt: ScriptedAttempt) -> bytes:
        calls = [attempt.call("leaf", action=f"a{n}") for n in range(width)]
        attempt.wait()
        await asyncio.gather(*calls)
        return b"done"

    return root


async def is_alive(world: World) -> None:
    """Whatever happened before, another client is served."""
    peer = await Peer.connect(world)
    assert isinstance(await peer.ask(ListRuns(request=5)), RunList)
    await peer.leave()


# Hostile clients


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        struct.pack(">I", 1 << 30),
        struct.pack(">I", 5) + b"\xc1\xc1\xc1\xc1\xc1",
        struct.pack(">I", 0),
        b"\xff" * 100_000,
    ],
)
@pytest.mark.parametrize("greet", [True, False])
def test_a_client_that_does_not_speak_the_protocol_is_told_so_and_left(
    tmp_path: Path, sent: bytes, greet: bool
) -> None:
    async def scenario(world: World) -> None:
        peer = await Peer.connect(world, greet=greet)
        peer.writer.write(sent)
        if sent == struct.pack(">I", 1 << 30) and greet:
            # It may be the beginning of a very large submission.
            await peer.leave()
        else:
            said = await peer.until_closed()
            assert [type(message) for message in said] == [Refused]
            await peer.leave()
        await is_alive(world)

    play(tmp_path, scenario)


def test_a_client_that_leaves_in_the_middle_of_a_frame_leaves_nothing_behind(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        peer = await Peer.connect(world)
        peer.writer.write(struct.pack(">I", 1000) + b"x" * 500)
        await peer.leave()
        await is_alive(world)
        while world.service.clients:
            await asyncio.sleep(0.001)

    play(tmp_path, scenario)


def test_a_client_that_never_says_who_it_is_does_not_keep_the_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "_UNGREETED", 0.01)

    async def scenario(world: World) -> None:
        silent = await Peer.connect(world, greet=False)
        assert await silent.until_closed() == []
        assert not world.service.clients
        await silent.leave()

    play(tmp_path, scenario)


@pytest.mark.parametrize("other", [1, None], ids=["another user", "nobody knows who"])
def test_a_process_of_another_user_is_not_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: int | None
) -> None:
    known = service.peer_uid

    def peer_uid(sock: socket.socket) -> int:
        if other is None:
            raise OSError
        return known(sock) + other

    async def scenario(world: World) -> None:
        monkeypatch.setattr(service, "peer_uid", peer_uid)
        stranger = await Peer.connect(world, greet=False)
        # Whoever is heard is told that this is no greeting.
        stranger.writer.write(struct.pack(">I", 5) + b"\xc1\xc1\xc1\xc1\xc1")
        assert await stranger.until_closed() == []
        assert not world.service.clients
        await stranger.leave()
        monkeypatch.setattr(service, "peer_uid", known)
        await is_alive(world)

    play(tmp_path, scenario)


def test_a_client_that_asks_and_does_not_read_is_not_heard_until_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "_MAX_UNREAD", 64 * 1024)

    async def scenario(world: World) -> None:
        for n in range(40):
            await world.run("leaf", name=f"run{n}")
        peer = await Peer.connect(world)
        asked = 3000
        for n in range(asked):
            peer.say(ListRuns(request=n))
        for _ in range(200):
            await asyncio.sleep(0.001)
        (client,) = world.service.clients
        assert client.unread < 4 * 1024 * 1024
        await is_alive(world)
        answered = {
            message.request for message in [await peer.hear() for _ in range(asked)] if isinstance(message, RunList)
        }
        assert answered == set(range(asked))
        await peer.leave()

    play(tmp_path, scenario, leaf=leaf)


# Watching


def test_a_watcher_that_does_not_read_costs_little_and_misses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "_MAX_UNREAD", 64 * 1024)

    async def scenario(world: World) -> None:
        peer = await Peer.connect(world)
        await world.submit("root")
        peer.say(WatchRun(request=1, run=R))
        await world.engine.until_ended(R)
        (client,) = world.service.clients
        assert client.unread < 2 * 1024 * 1024
        events = await until_told_the_end(peer)
        seqs = [change.seq for event in events for change in event.changes]
        assert seqs == list(range(1, 3 * 3001 + 3))
        assert events[-1].ended is not None
        await peer.leave()

    play(tmp_path, scenario, root=wide(3000), leaf=leaf)


async def until_told_the_end(peer: Peer) -> list[RunEvents]:
    events: list[RunEvents] = []
    while not events or events[-1].ended is None:
        message = await peer.hear()
        if isinstance(message, RunEvents):
            events.append(message)
    return events


@pytest.mark.parametrize("turns", range(12))
def test_a_watcher_that_comes_while_a_run_ends_is_told_its_end(tmp_path: Path, turns: int) -> None:
    async def scenario(world: World) -> None:
        peer = await Peer.connect(world)
        await world.submit("leaf")
        for _ in range(turns):
            await asyncio.sleep(0)
        peer.say(WatchRun(request=1, run=R))
        events = await until_told_the_end(peer)
        assert [change.seq for event in events for change in event.changes] == [1, 2, 3, 4, 5]
        await peer.leave()

    play(tmp_path, scenario, leaf=leaf)


def test_watchers_that_told_the_end_are_forgotten(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        peer = await Peer.connect(world)
        for n in range(5):
            await world.submit("leaf", name=f"r{n}")
            peer.say(WatchRun(request=1, run=RunId(f"r{n}")))
            await until_told_the_end(peer)
        await asyncio.sleep(0)
        (client,) = world.service.clients
        assert client.watched == 0
        await peer.leave()

    play(tmp_path, scenario, leaf=leaf)


# Runs of dead engines

T0 = datetime(2026, 1, 1, tzinfo=UTC)


async def leave_behind(journal: Journal) -> None:
    """What an engine that was killed leaves in the journal: a root that runs, and a child that waits."""
    change = {"run": R, "at": T0, "phase": ActionPhase.QUEUED}
    plain = {"run": R, "task": "t", "short_name": "t", "spec": "s", "inputs": Inline(data=b""), "created_at": T0}
    await journal.commit(
        Batch(
            runs=(RunRecord(run=R, task="t", root=ActionId("a" * 32), phase=ActionPhase.RUNNING, created_at=T0),),
            actions=(
                ActionRecord(action=ActionId("a" * 32), parent=None, phase=ActionPhase.RUNNING, attempts=1, **plain),
                ActionRecord(action=ActionId("b" * 32), parent=ActionId("a" * 32), phase=ActionPhase.QUEUED, **plain),
            ),
            attempts=(
                AttemptRecord(run=R, action=ActionId("a" * 32), attempt=0, phase=ActionPhase.RUNNING, queued_at=T0),
            ),
            changes=(
                Change(seq=1, kind=ChangeKind.RUN_CREATED, **change),
                Change(seq=2, kind=ChangeKind.ACTION_CREATED, action=ActionId("a" * 32), **change),
                Change(seq=3, kind=ChangeKind.ACTION_CREATED, action=ActionId("b" * 32), **change),
            ),
        )
    )


def test_a_run_that_nobody_executes_is_not_watched_for_ever(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        await leave_behind(world.journal)
        peer = await Peer.connect(world)
        refused = await peer.ask(WatchRun(request=1, run=R))
        assert isinstance(refused, Refused)
        assert "nothing executes it" in refused.message
        assert refused.hint is not None
        assert "abort r" in refused.hint
        await peer.leave()

    play(tmp_path, scenario)


def test_a_run_that_nobody_executes_can_be_aborted_once_by_several_and_then_watched(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        await leave_behind(world.journal)
        peer = await Peer.connect(world)
        for n in range(3):
            peer.say(AbortRun(request=n, run=R, reason="enough"))
        assert [type(await peer.hear()) for _ in range(3)] == [Done] * 3
        peer.say(WatchRun(request=9, run=R))
        events = await until_told_the_end(peer)
        assert events[-1].ended is not None
        assert events[-1].ended.phase is ActionPhase.ABORTED
        assert [change.seq for event in events for change in event.changes] == [1, 2, 3, 4, 5, 6]
        assert await world.journal.count_actions(R) == {ActionPhase.ABORTED: 2}
        (attempt,) = await world.journal.attempts(R, ActionId("a" * 32))
        assert attempt.phase is ActionPhase.ABORTED
        await peer.leave()

    play(tmp_path, scenario)


# Runs of other homes' engines, on the same database


def test_a_run_of_another_homes_engine_is_said_to_be_executed_there(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = MemoryStore()
        mine, other = MemoryLeases(store, owner="mine"), MemoryLeases(store, owner="other")
        async with world(tmp_path, journal=MemoryJournal(store, leases=mine), leases=mine) as found:
            await leave_behind(MemoryJournal(store, leases=other))
            peer = await Peer.connect(found)
            refused = await peer.ask(WatchRun(request=1, run=R))
            assert isinstance(refused, Refused)
            assert "the engine of another home executes it" in refused.message
            shown = await peer.ask(GetRun(request=2, run=R))
            assert isinstance(shown, RunDetails)
            assert (shown.live, shown.elsewhere) == (False, True)
            store.leases[R].until = store.now()
            refused = await peer.ask(WatchRun(request=3, run=R))
            assert isinstance(refused, Refused)
            assert "nothing executes it" in refused.message
            shown = await peer.ask(GetRun(request=4, run=R))
            assert isinstance(shown, RunDetails)
            assert (shown.live, shown.elsewhere) == (False, False)
            await peer.leave()

    asyncio.run(scenario())


def test_a_run_that_another_homes_engine_left_is_told_once_whenever_that_was(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = MemoryStore()
        mine, other = MemoryLeases(store, owner="mine"), MemoryLeases(store, owner="other")
        async with world(tmp_path, journal=MemoryJournal(store, leases=mine), leases=mine) as found:
            await leave_behind(MemoryJournal(store, leases=other))
            assert await found.service.news_of_interrupted() == ()
            store.leases[R].until = store.now()
            assert [await found.service.news_of_interrupted() for _ in range(3)] == [(R,), (), ()]
            await other.acquire(R)
            assert await found.service.news_of_interrupted() == ()
            await other.release(R)
            assert await found.service.news_of_interrupted() == (R,)

    asyncio.run(scenario())


# Requests about runs that end, have ended, or never were


def test_aborting_what_has_ended_is_done_and_what_never_was_is_an_error(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        await world.run("leaf")
        peer = await Peer.connect(world)
        assert await peer.ask(AbortRun(request=1, run=R)) == Done(request=1)
        unknown = await peer.ask(AbortRun(request=2, run=RunId("other")))
        assert isinstance(unknown, Refused)
        assert unknown.error == "RunNotFoundError"
        details = await peer.ask(GetRun(request=3, run="r"))
        assert isinstance(details, RunDetails)
        assert details.run.phase is ActionPhase.SUCCEEDED
        await peer.leave()

    play(tmp_path, scenario, leaf=leaf)


def test_an_abort_is_answered_when_it_is_committed_and_the_process_is_gone(tmp_path: Path) -> None:
    async def root(attempt: ScriptedAttempt) -> bytes:
        call = attempt.call("forever", action="f")
        attempt.wait()
        await call
        return b"caught"

    async def scenario(world: World) -> None:
        await world.submit("root")
        child = scripted_id(scripted_id("root"), "f")
        while not any(name == "forever" for name, _, _ in world.launcher.started):
            await asyncio.sleep(0.001)
        peer = await Peer.connect(world)
        assert await peer.ask(AbortRun(request=1, run=R, action=child)) == Done(request=1)
        record = await world.journal.action(R, child)
        assert record is not None
        assert record.phase is ActionPhase.ABORTED
        await world.engine.until_ended(R)
        gone = await peer.ask(AbortRun(request=2, run=R, action=child))
        assert isinstance(gone, Done)
        await peer.leave()

    play(tmp_path, scenario, root=root, forever=forever)


def test_an_engine_that_was_told_to_stop_takes_no_more_runs(tmp_path: Path) -> None:
    async def stubborn(attempt: ScriptedAttempt) -> bytes:
        try:
            await asyncio.sleep(3600)
        finally:
            await asyncio.shield(asyncio.sleep(0.2))
        return b""

    async def scenario(world: World) -> None:
        await world.submit("stubborn")
        one, other = await Peer.connect(world), await Peer.connect(world)
        refused = await one.ask(StopEngine(request=1))
        assert isinstance(refused, Refused)
        one.say(StopEngine(request=2, abort_runs=True))
        late = await other.ask(submission("leaf", name="late"))
        assert isinstance(late, Refused)
        assert late.error == "EngineGoneError"
        assert await one.hear() == Done(request=2)
        await world.stopped.wait()
        assert world.engine.is_idle
        await one.leave()
        await other.leave()

    play(tmp_path, scenario, stubborn=stubborn, leaf=leaf)


def test_an_engine_that_takes_no_more_runs_leaves_though_nobody_waits_for_that(tmp_path: Path) -> None:
    async def stubborn(attempt: ScriptedAttempt) -> bytes:
        try:
            await asyncio.sleep(3600)
        finally:
            await asyncio.shield(asyncio.sleep(0.2))
        return b""

    async def scenario(world: World) -> None:
        await world.submit("stubborn")
        one, other = await Peer.connect(world), await Peer.connect(world)
        one.say(StopEngine(request=1, abort_runs=True))
        assert isinstance(await other.ask(submission("leaf", name="late")), Refused)
        await one.leave()
        await world.stopped.wait()
        await other.leave()

    play(tmp_path, scenario, stubborn=stubborn, leaf=leaf)


def test_an_engine_that_was_told_to_stop_does_not_wait_for_a_client_that_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ending, "_ABORTING", 0.01)

    async def scenario(world: World) -> None:
        blocked, other = await Peer.connect(world), await Peer.connect(world)
        blocked.say(submission("leaf", name="r", mode="inline", grace=0.01))
        assert {type(await blocked.hear()) for _ in range(2)} == {RunAccepted, ToInline}
        assert await other.ask(StopEngine(request=2, abort_runs=True)) == Done(request=2)
        await world.stopped.wait()
        await blocked.leave()
        await other.leave()

    play(tmp_path, scenario)


@pytest.mark.parametrize("name", ["../up", "a/b", ".hidden", "-x", "a" * 101, "a\nb", " "])
def test_a_run_cannot_have_a_name_that_is_no_name(tmp_path: Path, name: str) -> None:
    async def scenario(world: World) -> None:
        peer = await Peer.connect(world)
        refused = await peer.ask(submission("leaf", name=name))
        assert isinstance(refused, Refused)
        assert refused.error == "CallError"
        assert repr(name) in refused.message
        assert world.engine.is_idle
        await peer.leave()

    play(tmp_path, scenario, leaf=leaf)


def test_two_clients_that_want_one_name_at_once_get_one_run(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        peers = [await Peer.connect(world) for _ in range(4)]
        for peer in peers:
            peer.say(submission("leaf", name="same"))
        answers = [await peer.hear() for peer in peers]
        assert sorted(type(answer).__name__ for answer in answers) == ["Refused"] * 3 + ["RunAccepted"]
        for peer in peers:
            await peer.leave()

    play(tmp_path, scenario, leaf=leaf)


# Inline clients

FAILED = Failed(failure=Failure(kind=FailureKind.USER, code="ValueError", message="no"))


@pytest.mark.parametrize("turns", range(8))
@pytest.mark.parametrize("fails", [True, False])
@pytest.mark.parametrize("is_ending", [True, False])
def test_the_run_of_an_inline_client_that_is_gone_can_be_resumed_unless_it_is_being_ended(
    tmp_path: Path, turns: int, fails: bool, is_ending: bool
) -> None:
    async def scenario(world: World) -> None:
        peer = await Peer.connect(world)
        peer.say(submission("leaf", name="r", mode="inline", retries=3))
        said = [await peer.hear(), await peer.hear()]
        assert any(isinstance(message, RunAccepted) for message in said)
        (started,) = [message for message in said if isinstance(message, ToInline)]
        (start,) = started.messages
        assert isinstance(start, StartAttempt)
        if fails:
            # The next attempt is on its way when the client leaves.
            finished = AttemptFinished(attempt_key=start.attempt_key, outcome=FAILED)
            peer.say(FromInline(messages=(finished,)))
            for _ in range(turns):
                await asyncio.sleep(0)
        if is_ending:
            world.engine.abort(R, None, "enough")
        await peer.leave()
        while not world.engine.is_idle or world.engine.live_attempts:
            await asyncio.sleep(0.001)
        await world.engine.until_ended(R)
        record = await world.journal.run(R)
        assert record is not None
        if is_ending:
            assert record.phase is ActionPhase.ABORTED
            return
        assert not record.phase.is_final
        while R not in [left.run for left in await world.service.interrupted()]:
            await asyncio.sleep(0.001)

    play(tmp_path, scenario)
