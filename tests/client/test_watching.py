"""Waiting for a run goes on over the death of an engine, and ends in words where it cannot."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.client.conftest import Recorder
from tests.client.fake_engine import FakeEngine, Handler, Peer, change, run_record
from volant.client.client import Client
from volant.client.watching import insist, resume_run, watch_to_end
from volant.model.control_protocol import (
    ClientToEngine,
    Done,
    GetRun,
    Refused,
    ResumeRun,
    RunAccepted,
    RunDetails,
    RunEvents,
    Unwatch,
    WatchRun,
)
from volant.model.errors import EngineGoneError
from volant.model.ids import RunId
from volant.model.payloads import Inline
from volant.model.phases import ActionPhase
from volant.model.worker_protocol import Succeeded

RUN = RunId("r1")
OUTCOME = Succeeded(outputs=Inline(data=b"x"))


def dying(peer: Peer, message: ClientToEngine) -> None:
    """Tells two changes of the run, and is gone."""
    if isinstance(message, WatchRun):
        peer.say(Done(request=message.request), RunEvents(run=RUN, changes=(change(1), change(2))))
        peer.leave()


def next_engine(*, live: bool, phase: ActionPhase, heard: list[WatchRun]) -> Handler:
    """The engine after that one, which knows about the run."""

    def handle(peer: Peer, message: ClientToEngine) -> None:
        if isinstance(message, GetRun):
            peer.say(RunDetails(request=message.request, run=run_record(phase=phase), counts={}, live=live))
        elif isinstance(message, WatchRun):
            heard.append(message)
            ended = run_record(phase=ActionPhase.SUCCEEDED)
            peer.say(Done(request=message.request), RunEvents(run=RUN, changes=(change(3),)))
            peer.say(RunEvents(run=RUN, changes=(), ended=ended, outcome=OUTCOME))
        else:
            assert isinstance(message, Unwatch)

    return handle


@pytest.mark.parametrize("phase", [ActionPhase.RUNNING, ActionPhase.SUCCEEDED])
async def test_watching_goes_on_with_the_next_engine_where_it_stopped(
    home: Path, make_client: Callable[..., Client], recorder: Recorder, phase: ActionPhase
) -> None:
    heard: list[WatchRun] = []
    following = next_engine(live=phase is ActionPhase.RUNNING, phase=phase, heard=heard)
    first = FakeEngine(home, dying)
    client = make_client()
    with first:
        talk = await client.connect()
        events = talk.watch(RUN)
        first_events = await anext(events)
        assert [each.seq for each in first_events.changes] == [1, 2]
    with FakeEngine(home, following):
        end = await watch_to_end(client, talk, RUN, recorder)
    assert end.run.phase is ActionPhase.SUCCEEDED
    assert end.outcome == OUTCOME
    assert recorder.notices == ["the engine went away; asking the next one"]
    assert [message.after for message in heard] == [0]


async def test_no_change_is_told_twice_or_left_out(
    home: Path, make_client: Callable[..., Client], recorder: Recorder
) -> None:
    heard: list[WatchRun] = []

    class Switching:
        """One socket, two lives: the first connection is dropped in the middle of its events."""

        connections = 0

        def __call__(self, peer: Peer, message: ClientToEngine) -> None:
            if isinstance(message, WatchRun) and not heard:
                heard.append(message)
                dying(peer, message)
            else:
                next_engine(live=True, phase=ActionPhase.RUNNING, heard=heard)(peer, message)

    client = make_client()
    with FakeEngine(home, Switching()):
        talk = await client.connect()
        await watch_to_end(client, talk, RUN, recorder)
    assert [each.seq for each in recorder.changes] == [1, 2, 3]
    assert [message.after for message in heard] == [0, 2]
    assert [run.phase for run in recorder.ends] == [ActionPhase.SUCCEEDED]


async def test_the_next_engine_is_asked_to_go_on_with_the_run(
    home: Path, make_client: Callable[..., Client], recorder: Recorder
) -> None:
    asked: list[ResumeRun] = []

    def handle(peer: Peer, message: ClientToEngine) -> None:
        if isinstance(message, ResumeRun):
            asked.append(message)
            peer.say(RunAccepted(request=message.request, run=run_record()))
        elif isinstance(message, WatchRun) and not asked:
            dying(peer, message)
        else:
            next_engine(live=False, phase=ActionPhase.RUNNING, heard=[])(peer, message)

    client = make_client()
    with FakeEngine(home, handle):
        talk = await client.connect()
        await watch_to_end(client, talk, RUN, recorder)
    assert [message.run for message in asked] == [RUN]
    assert asked[0].environ["PATH"] == os.environ["PATH"]
    assert recorder.notices[-1] == "the next engine goes on with run r1"
    assert [run.phase for run in recorder.ends] == [ActionPhase.SUCCEEDED]


async def test_an_inline_run_that_lost_its_engine_is_an_error_that_says_what_to_do(
    home: Path, make_client: Callable[..., Client], recorder: Recorder
) -> None:
    def handle(peer: Peer, message: ClientToEngine) -> None:
        if isinstance(message, WatchRun):
            dying(peer, message)
        else:
            next_engine(live=False, phase=ActionPhase.RUNNING, heard=[])(peer, message)

    client = make_client()
    with FakeEngine(home, handle):
        talk = await client.connect()
        with pytest.raises(EngineGoneError, match=r"went away while this process executed run 'r1' inline") as caught:
            await watch_to_end(client, talk, RUN, recorder, goes_on=False)
    assert "volant resume r1" in str(caught.value.hint)


async def test_engines_that_go_away_one_after_another_are_given_up(
    home: Path, make_client: Callable[..., Client], recorder: Recorder
) -> None:
    def handle(peer: Peer, message: ClientToEngine) -> None:
        if isinstance(message, GetRun):
            peer.say(RunDetails(request=message.request, run=run_record(), counts={}, live=True))
        else:
            peer.leave()

    client = make_client()
    with FakeEngine(home, handle) as engine:
        talk = await client.connect()
        with pytest.raises(EngineGoneError):
            await watch_to_end(client, talk, RUN, recorder)
        assert engine.connections == 4


async def test_a_resumed_run_goes_on_though_its_engine_dies_before_it_is_watched(
    home: Path, make_client: Callable[..., Client], recorder: Recorder
) -> None:
    asked: list[ResumeRun] = []

    def handle(peer: Peer, message: ClientToEngine) -> None:
        if isinstance(message, ResumeRun):
            asked.append(message)
            if len(asked) == 1:
                # It dies before it has answered.
                peer.leave()
            else:
                peer.say(RunAccepted(request=message.request, run=run_record()))
        else:
            next_engine(live=False, phase=ActionPhase.RUNNING, heard=[])(peer, message)

    client = make_client()
    with FakeEngine(home, handle):

        async def ask() -> None:
            async with client.connection() as connection:
                await resume_run(connection, RUN)

        await insist(ask)
        assert len(asked) == 2
        # The one that had accepted is gone: this is the one after it, and nobody executes the run.
        talk = await client.connect()
        await watch_to_end(client, talk, RUN, recorder, resumed=True)
    assert len(asked) == 3
    assert recorder.notices == ["the next engine goes on with run r1"]
    assert [run.phase for run in recorder.ends] == [ActionPhase.SUCCEEDED]


async def test_a_resumed_run_may_end_before_it_is_watched(
    home: Path, make_client: Callable[..., Client], recorder: Recorder
) -> None:
    looked: list[GetRun] = []

    def handle(peer: Peer, message: ClientToEngine) -> None:
        if isinstance(message, ResumeRun):
            peer.say(Refused(request=message.request, error="EngineError", message="it has ended, SUCCEEDED"))
            return
        if isinstance(message, GetRun):
            looked.append(message)
        phase = ActionPhase.RUNNING if len(looked) == 1 else ActionPhase.SUCCEEDED
        next_engine(live=False, phase=phase, heard=[])(peer, message)

    client = make_client()
    with FakeEngine(home, handle):
        talk = await client.connect()
        await watch_to_end(client, talk, RUN, recorder, resumed=True)
    assert len(looked) == 2
    assert [run.phase for run in recorder.ends] == [ActionPhase.SUCCEEDED]


async def test_who_asks_is_told_when_engines_go_away_one_after_another(
    home: Path, make_client: Callable[..., Client]
) -> None:
    asked = 0
    client = make_client()

    async def ask() -> None:
        nonlocal asked
        asked += 1
        async with client.connection() as connection:
            await resume_run(connection, RUN)

    with FakeEngine(home, lambda peer, _: peer.leave()), pytest.raises(EngineGoneError):
        await insist(ask)
    assert asked == 4
