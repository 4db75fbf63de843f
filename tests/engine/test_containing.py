"""A mistake in the rules of one run ends that run, and nothing else."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.engine.worlds import Peer, World, play, submission
from volant.decide.run_machine import RunMachine
from volant.model.control_protocol import Refused, RunEvents, WatchRun
from volant.model.failures import FailureKind
from volant.model.ids import RunId
from volant.model.phases import ActionPhase
from volant.model.worker_protocol import Failed
from volant.ports.journal import RunFilter
from volant.testing.scripted_launcher import Lost, ScriptedAttempt

RULES = [
    "admitted",
    "started",
    "called",
    "waiting",
    "working",
    "told",
    "cancelled",
    "finished",
    "gone",
    "owes",
    "recorded_children",
    "drain",
]


class Odd(Exception):
    """Nobody thought of it."""


@pytest.fixture
def break_rule(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[str]]:
    """Lets a rule fail for runs named `bad`; the list tells whether it did."""
    seen: list[str] = []

    def broken(rule: str) -> list[str]:
        plain = getattr(RunMachine, rule)

        def odd(machine: RunMachine, *args: object, **kwargs: object) -> object:
            # What was asked at the submission is another matter.
            if machine.run == "bad" and (
                rule != "drain" or machine.root is not machine.actions.get(machine.record.root)
            ):
                seen.append(rule)
                raise Odd(rule)
            return plain(machine, *args, **kwargs)

        monkeypatch.setattr(RunMachine, rule, odd)
        return seen

    return broken


async def leaf(attempt: ScriptedAttempt) -> bytes:
    await asyncio.sleep(0.01)
    return attempt.inputs


async def slow(attempt: ScriptedAttempt) -> bytes:
    attempt.wait()
    await asyncio.sleep(1000)
    return b""


async def lost(attempt: ScriptedAttempt) -> bytes:
    if attempt.number == 0:
        raise Lost
    return b""


async def root(attempt: ScriptedAttempt) -> bytes:
    """All that a run can do, so that every rule is asked."""
    dropped = attempt.call("slow", action="d")
    calls = [attempt.call("leaf", action=f"a{n}") for n in range(5)] + [attempt.call("lost", action="l")]
    attempt.wait()
    await asyncio.gather(*calls)
    attempt.cancel(dropped)
    await dropped
    return b"done"


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_that_fails_ends_its_run_alone(
    tmp_path: Path, rule: str, break_rule: Callable[[str], list[str]], caplog: pytest.LogCaptureFixture
) -> None:
    seen = break_rule(rule)

    async def scenario(world: World) -> None:
        await world.submit("root", name="good")
        await world.submit("root", name="bad")
        peer = await Peer.connect(world)
        peer.say(WatchRun(request=1, run=RunId("bad"), after=0))
        await world.engine.until_ended(RunId("good"))
        await world.engine.until_ended(RunId("bad"))
        good, bad = await world.journal.run(RunId("good")), await world.journal.run(RunId("bad"))
        assert good is not None
        assert bad is not None
        assert good.phase is ActionPhase.SUCCEEDED
        assert bad.phase is ActionPhase.FAILED
        assert bad.failure is not None
        assert bad.failure.kind is FailureKind.SYSTEM
        assert rule in bad.failure.message
        assert "Odd" in caplog.text
        counts = await world.journal.count_actions(RunId("bad"))
        assert all(phase.is_final for phase in counts)
        ended = None
        while ended is None:
            said = await peer.hear()
            if isinstance(said, RunEvents) and said.ended is not None:
                ended = said
        assert ended.ended is not None
        assert ended.ended.phase is bad.phase
        assert isinstance(ended.outcome, Failed)
        await peer.leave()
        # The next one finds a machine on which nothing is taken.
        assert (await world.run("leaf", name="next")).phase is ActionPhase.SUCCEEDED
        placement = world.engine.placement
        assert (placement.cpu_used, placement.processes, placement.queued) == (0, 0, 0)
        assert world.engine.is_idle
        assert world.engine.live_attempts == 0

    play(tmp_path, scenario, root=root, leaf=leaf, slow=slow, lost=lost)
    assert seen


def test_a_run_whose_first_rule_fails_is_refused_and_not_written(
    tmp_path: Path, break_rule: Callable[[str], list[str]]
) -> None:
    break_rule("create")

    async def scenario(world: World) -> None:
        peer = await Peer.connect(world)
        refused = await peer.ask(submission("leaf", name="bad"))
        assert isinstance(refused, Refused)
        assert "was not accepted" in refused.message
        await peer.leave()
        assert await world.journal.runs(RunFilter(limit=10)) == []
        assert world.engine.is_idle

    play(tmp_path, scenario, leaf=leaf)


def test_an_attempt_that_cannot_even_be_ordered_fails_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(world: World) -> None:
        plain = world.launcher.start

        def start(order: object) -> None:
            if order.start.context.run == "bad":  # type: ignore[attr-defined]
                raise Odd
            plain(order)  # type: ignore[arg-type]

        monkeypatch.setattr(world.launcher, "start", start)
        await world.submit("leaf", name="bad")
        assert (await world.run("leaf", name="good")).phase is ActionPhase.SUCCEEDED
        await world.engine.until_ended(RunId("bad"))
        bad = await world.journal.run(RunId("bad"))
        assert bad is not None
        assert bad.failure is not None
        assert bad.failure.kind is FailureKind.SYSTEM

    play(tmp_path, scenario, leaf=leaf)
