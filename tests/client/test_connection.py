"""The conversation with an engine: requests, answers, events, versions, and its sudden end."""

import asyncio
from pathlib import Path

import pytest

from tests.client.fake_engine import FakeEngine, Peer, change, run_record
from volant.client import connection as module
from volant.client.connection import Connection, connect
from volant.client.starting import EngineStart
from volant.model.control_protocol import (
    ClientToEngine,
    Done,
    GetRun,
    GetStatus,
    Hello,
    ListRuns,
    Refused,
    RunDetails,
    RunEvents,
    RunList,
    StopEngine,
    Unwatch,
    WatchRun,
    Welcome,
)
from volant.model.errors import EngineError, EngineGoneError, EngineVersionError, RunNotFoundError
from volant.model.phases import ActionPhase


def listening(home: Path) -> EngineStart:
    """An engine is there already: nothing is started."""
    start = EngineStart(home, {})
    start.begin()
    return start


def ignore(_peer: Peer, _message: ClientToEngine) -> None:
    pass


async def test_answers_are_matched_by_number_in_any_order(home: Path) -> None:
    waiting: list[GetRun] = []

    def handle(peer: Peer, message: ClientToEngine) -> None:
        assert isinstance(message, GetRun)
        waiting.append(message)
        if len(waiting) == 3:
            for each in reversed(waiting):
                peer.say(RunDetails(request=each.request, run=run_record(each.run), counts={}, live=True))

    with FakeEngine(home, handle):
        talk = await connect(listening(home), timeout=5)
        names = ("a", "b", "c")
        found = await asyncio.gather(
            *(talk.ask(lambda number, name=name: GetRun(request=number, run=name), RunDetails) for name in names)
        )
        await talk.close()
    assert [details.run.run for details in found] == list(names)


async def test_a_refusal_is_raised_as_the_error_it_names(home: Path) -> None:
    def handle(peer: Peer, message: ClientToEngine) -> None:
        assert isinstance(message, GetRun)
        peer.say(Refused(request=message.request, error="RunNotFoundError", message="there is no run 'x'", hint="look"))

    with FakeEngine(home, handle):
        talk = await connect(listening(home), timeout=5)
        with pytest.raises(RunNotFoundError, match="there is no run 'x'") as caught:
            await talk.ask(lambda number: GetRun(request=number, run="x"), RunDetails)
        await talk.close()
    assert caught.value.hint == "look"


@pytest.mark.parametrize("name", ["UnheardOfError", "Sequence", "VolantErrors", "__doc__"])
async def test_a_refusal_with_a_strange_name_is_an_engine_error(home: Path, name: str) -> None:
    def handle(peer: Peer, message: ClientToEngine) -> None:
        assert isinstance(message, GetRun)
        peer.say(Refused(request=message.request, error=name, message="something"))

    with FakeEngine(home, handle):
        talk = await connect(listening(home), timeout=5)
        with pytest.raises(EngineError, match=f"{name}: something"):
            await talk.ask(lambda number: GetRun(request=number, run="x"), RunDetails)
        await talk.close()


async def test_an_answer_of_another_kind_is_an_error(home: Path) -> None:
    def handle(peer: Peer, message: ClientToEngine) -> None:
        assert isinstance(message, ListRuns)
        peer.say(Done(request=message.request))

    with FakeEngine(home, handle):
        talk = await connect(listening(home), timeout=5)
        with pytest.raises(EngineError, match="answered with Done, wanted RunList"):
            await talk.ask(lambda number: ListRuns(request=number), RunList)
        await talk.close()


async def test_an_engine_that_goes_away_fails_what_waits_and_what_comes(home: Path) -> None:
    def handle(peer: Peer, _message: ClientToEngine) -> None:
        peer.leave()

    with FakeEngine(home, handle, pid=4711):
        talk = await connect(listening(home), timeout=5)
        with pytest.raises(EngineGoneError, match=r"process 4711\) went away"):
            await talk.ask(lambda number: GetStatus(request=number), Done)
        with pytest.raises(EngineGoneError):
            await talk.ask(lambda number: GetStatus(request=number), Done)
        assert talk.is_closed
        with pytest.raises(EngineGoneError):
            async for _events in talk.watch(run_record().run):
                pass


@pytest.mark.parametrize("data", [b"\x00\x00\x00\x03abc", b"\xff\xff\xff\xff", b"\x00\x00\x00\x01\x01"])
async def test_an_engine_that_says_nonsense_is_left(home: Path, data: bytes) -> None:
    def handle(peer: Peer, _message: ClientToEngine) -> None:
        peer.say_bytes(data)

    with FakeEngine(home, handle):
        talk = await connect(listening(home), timeout=5)
        with pytest.raises(EngineGoneError, match="what the engine said cannot be read"):
            await talk.ask(lambda number: GetStatus(request=number), Done)


async def test_events_that_come_before_anyone_watches_wait(home: Path) -> None:
    record = run_record()

    def handle(peer: Peer, message: ClientToEngine) -> None:
        assert isinstance(message, GetRun)
        peer.say(
            RunDetails(request=message.request, run=record, counts={}, live=True),
            RunEvents(run=record.run, changes=(change(1), change(2))),
            RunEvents(run=record.run, changes=(change(3),), ended=run_record(phase=ActionPhase.SUCCEEDED)),
        )

    with FakeEngine(home, handle):
        talk = await connect(listening(home), timeout=5)
        await talk.ask(lambda number: GetRun(request=number, run="r1"), RunDetails)
        seen = [each.seq async for events in talk.watch(record.run, asked=True) for each in events.changes]
        await talk.close()
    assert seen == [1, 2, 3]


async def test_a_watch_that_is_refused_raises(home: Path) -> None:
    def handle(peer: Peer, message: ClientToEngine) -> None:
        assert isinstance(message, WatchRun)
        peer.say(Refused(request=message.request, error="RunNotFoundError", message="no such run"))

    with FakeEngine(home, handle):
        talk = await connect(listening(home), timeout=5)
        with pytest.raises(RunNotFoundError):
            async for _events in talk.watch(run_record().run):
                pass
        await talk.close()


async def test_a_watch_that_is_left_tells_the_engine(home: Path) -> None:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()

    def handle(peer: Peer, message: ClientToEngine) -> None:
        if isinstance(message, WatchRun):
            peer.say(Done(request=message.request), RunEvents(run=message.run, changes=(change(1),)))
        if isinstance(message, Unwatch):
            loop.call_soon_threadsafe(told.set)

    with FakeEngine(home, handle):
        talk = await connect(listening(home), timeout=5)
        watching = talk.watch(run_record().run)
        assert (await anext(watching)).changes[0].seq == 1
        await watching.aclose()  # type: ignore[attr-defined]
        await asyncio.wait_for(told.wait(), 10)
        await talk.close()


async def replaced(home: Path, monkeypatch: pytest.MonkeyPatch, old: FakeEngine, new: FakeEngine) -> Connection:
    """Connect to *old*; what would start an engine makes *new* listen."""
    start = listening(home)

    def listen() -> None:
        old.stop()
        new.__enter__()

    monkeypatch.setattr(start, "start_process", listen)
    return await connect(start, timeout=10)


async def test_an_idle_engine_of_another_version_is_replaced(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def leave(peer: Peer, message: ClientToEngine) -> None:
        assert isinstance(message, StopEngine)
        assert not message.abort_runs
        peer.say(Done(request=message.request))
        old.stop_from_inside()

    old, new = FakeEngine(home, leave, protocol=999), FakeEngine(home, ignore)
    with old:
        talk = await replaced(home, monkeypatch, old, new)
        assert talk.welcome.protocol != 999
        await talk.close()
        new.stop()


async def test_a_busy_engine_of_another_version_is_named(home: Path) -> None:
    def refuse(peer: Peer, message: ClientToEngine) -> None:
        assert isinstance(message, StopEngine)
        peer.say(Refused(request=message.request, error="EngineError", message="it executes run 'r1'"))

    with FakeEngine(home, refuse, protocol=999) as engine, pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_MAKING_ROOM", 0.0)
        with pytest.raises(EngineVersionError, match=r"protocol 999.*it executes run 'r1'"):
            await connect(listening(home), timeout=5)
        assert any(isinstance(message, StopEngine) for message in engine.heard)


async def test_an_engine_that_keeps_refusing_our_version_is_an_error(home: Path) -> None:
    class Refusing(FakeEngine):
        def _greet(self, message: Hello) -> Refused:  # type: ignore[override]
            return Refused(error="EngineVersionError", message="I speak 2, you speak 1; I am busy", hint="wait")

    with Refusing(home, ignore) as engine, pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_MAKING_ROOM", 0.05)
        start = listening(home)
        # One that is started loses against the one that is there, which holds the lock.
        patch.setattr(start, "start_process", lambda: None)
        with pytest.raises(EngineVersionError, match="I am busy"):
            await connect(start, timeout=5)
        assert engine.connections > 1


async def test_an_engine_that_makes_room_for_our_version_is_replaced(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class MakingRoom(FakeEngine):
        def _greet(self, message: Hello) -> Refused:  # type: ignore[override]
            self.stop_from_inside()
            return Refused(error="EngineVersionError", message="I speak 2, you speak 1")

    old, new = MakingRoom(home, ignore), FakeEngine(home, ignore)
    with old:
        talk = await replaced(home, monkeypatch, old, new)
        assert isinstance(talk.welcome, Welcome)
        await talk.close()
        new.stop()
