"""Runs that take over what another run has finished: what is executed again, and what never is."""

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path

import msgspec
import pytest

from tests.engine.worlds import World, play, submission
from volant.engine.recovering import Recovery
from volant.model.control_protocol import ResumeRun
from volant.model.errors import ActionNotFoundError, CallError
from volant.model.ids import ActionId, RunId
from volant.model.payloads import Inline
from volant.model.phases import ActionPhase
from volant.model.records import ActionRecord, ChangeKind, RunRecord
from volant.model.reusing import Reuse
from volant.model.worker_protocol import Outcome, Succeeded
from volant.testing.memory_journal import MemoryJournal
from volant.testing.scripted_launcher import Lost, ScriptedAttempt, scripted_id


async def submit(world: World, name: str, reuse: Reuse | None = None) -> None:
    message = submission("root", name=name)
    options = msgspec.structs.replace(message.options, reuse=reuse)
    message = msgspec.structs.replace(message, options=options)
    await world.service.submissions.submit(message, lambda _run, _mode: world.launcher)


async def run(world: World, name: str, *, over: str | None = None, from_action: str | None = None) -> list[str]:
    """Run it to its end; the tasks that were started for it, the root left out."""
    before = len(world.launcher.started)
    await submit(world, name, None if over is None else Reuse(run=over, from_action=from_action))
    await world.engine.until_ended(RunId(name))
    return [task for task, *_ in world.launcher.started[before:]][1:]


async def action(world: World, name: str, *path: str) -> ActionRecord:
    """The action that these names of calls lead to from the root."""
    record = await world.journal.run(RunId(name))
    assert record is not None
    at = record.root
    for each in path:
        at = scripted_id(at, each)
    found = await world.journal.action(RunId(name), at)
    assert found is not None
    return found


async def warnings(world: World, name: str) -> list[str]:
    return [each.message for each in await world.journal.changes(RunId(name)) if each.kind is ChangeKind.WARNING]


async def leaf(attempt: ScriptedAttempt) -> bytes:
    return attempt.inputs


class Switch:
    """A task that fails until it is put right."""

    def __init__(self) -> None:
        self.is_right = False

    async def __call__(self, attempt: ScriptedAttempt) -> bytes:
        if not self.is_right:
            raise ValueError("not yet")
        return b"right"


async def ask(attempt: ScriptedAttempt, task: str, name: str, *, has_digest: bool = True) -> Outcome:
    """Call a task and do nothing until it has ended."""
    call = attempt.call(task, action=name, has_digest=has_digest)
    attempt.wait()
    return await call


def outputs(outcomes: Iterable[Outcome]) -> bytes:
    """What those that succeeded returned, in order."""
    found = [each.outputs for each in outcomes if isinstance(each, Succeeded)]
    return b" ".join(each.data for each in found if isinstance(each, Inline))


def test_what_succeeded_is_taken_over_and_the_rest_is_executed_again(tmp_path: Path) -> None:
    flaky = Switch()

    async def branch(attempt: ScriptedAttempt) -> bytes:
        calls = [attempt.call("leaf", action="l"), attempt.call("flaky", action="f")]
        attempt.wait()
        _, last = await asyncio.gather(*calls)
        if not isinstance(last, Succeeded):
            raise ValueError("below")
        return b"branch"

    async def root(attempt: ScriptedAttempt) -> bytes:
        calls = [attempt.call("leaf", action=f"a{n}") for n in range(3)] + [attempt.call("branch", action="b")]
        attempt.wait()
        outcomes = await asyncio.gather(*calls)
        if not isinstance(outcomes[3], Succeeded):
            raise ValueError("branch")
        return outputs(outcomes)

    async def scenario(world: World) -> None:
        first = await run(world, "one")
        assert sorted(first) == ["branch", "flaky", "leaf", "leaf", "leaf", "leaf"]
        assert sorted(await run(world, "again", over="one")) == ["branch", "flaky"]
        flaky.is_right = True
        assert sorted(await run(world, "two", over="again")) == ["branch", "flaky"]
        record = await action(world, "two")
        assert record.outputs == Inline(data=b"a0 a1 a2 branch")
        taken = await action(world, "two", "b", "l")
        assert (taken.reused_from, taken.attempts, taken.phase) == ("one", 0, ActionPhase.SUCCEEDED)
        assert taken.outputs == (await action(world, "one", "b", "l")).outputs
        assert (await action(world, "two", "b", "f")).reused_from is None
        assert await run(world, "three", over="two") == []
        assert (await action(world, "three", "b")).reused_from == "two"

    play(tmp_path, scenario, root=root, leaf=leaf, branch=branch, flaky=flaky)


def test_from_an_action_on_nothing_that_may_depend_on_it_is_taken_over(tmp_path: Path) -> None:
    async def branch(attempt: ScriptedAttempt) -> bytes:
        for name in ("first", "second", "third"):
            await ask(attempt, "leaf", name)
        return b""

    async def root(attempt: ScriptedAttempt) -> bytes:
        for name in ("before", "middle", "after"):
            await ask(attempt, "branch", name)
        return b""

    async def taken(world: World, name: str) -> set[str]:
        found: set[str] = set()
        for top in ("before", "middle", "after"):
            if (await action(world, name, top)).reused_from is not None:
                found.add(top)
                continue
            for below in ("first", "second", "third"):
                if (await action(world, name, top, below)).reused_from is not None:
                    found.add(f"{top}/{below}")
        return found

    async def scenario(world: World) -> None:
        await run(world, "one")
        second = (await action(world, "one", "middle", "second")).action
        await run(world, "deep", over="one", from_action=second[:10])
        assert await taken(world, "deep") == {"before", "middle/first"}
        await run(world, "whole", over="one", from_action=(await action(world, "one", "middle")).action)
        assert await taken(world, "whole") == {"before"}
        await run(world, "all", over="one", from_action=(await action(world, "one")).action)
        assert await taken(world, "all") == set()
        with pytest.raises(ActionNotFoundError, match="has no action 'nothing'"):
            await run(world, "none", over="one", from_action="nothing")
        assert await world.journal.run(RunId("none")) is None

    play(tmp_path, scenario, root=root, leaf=leaf, branch=branch)


def test_calls_made_beside_an_action_do_not_depend_on_it(tmp_path: Path) -> None:
    async def root(attempt: ScriptedAttempt) -> bytes:
        together = [attempt.call("leaf", action=name) for name in ("a", "b", "c")]
        attempt.wait()
        await asyncio.gather(*together)
        await ask(attempt, "leaf", "later")
        return b""

    async def scenario(world: World) -> None:
        await run(world, "one")
        beside = (await action(world, "one", "b")).action
        assert await run(world, "two", over="one", from_action=beside) == ["leaf", "leaf"]
        reused = {name for name in ("a", "b", "c", "later") if (await action(world, "two", name)).reused_from}
        assert reused == {"a", "c"}

    play(tmp_path, scenario, root=root, leaf=leaf)


def test_where_an_ancestor_had_failed_before_what_it_called_after_the_action_is_executed_again(tmp_path: Path) -> None:
    """It may have been told another outcome of the action, of which nothing is left."""
    number = 0

    async def shaky(attempt: ScriptedAttempt) -> bytes:
        nonlocal number
        number += 1
        if number == 1:
            raise ValueError("at first")
        return b""

    async def root(attempt: ScriptedAttempt) -> bytes:
        await ask(attempt, "leaf", "before")
        await ask(attempt, "shaky", "shaky")
        await ask(attempt, "leaf", "between")
        if attempt.number == 0:
            raise ValueError("once more")
        return b""

    async def scenario(world: World) -> None:
        message = submission("root", name="one", retries=1)
        await world.service.submissions.submit(message, lambda _run, _mode: world.launcher)
        await world.engine.until_ended(RunId("one"))
        shaken = await action(world, "one", "shaky")
        between = await action(world, "one", "between")
        assert between.outcome_seq is not None
        assert shaken.outcome_seq is not None
        assert between.outcome_seq < shaken.outcome_seq
        await run(world, "two", over="one", from_action=shaken.action)
        assert (await action(world, "two", "before")).reused_from == "one"
        assert (await action(world, "two", "between")).reused_from is None

    play(tmp_path, scenario, root=root, leaf=leaf, shaky=shaky)


def test_inputs_without_a_digest_are_executed_again_and_it_is_said(tmp_path: Path) -> None:
    async def below(attempt: ScriptedAttempt) -> bytes:
        await ask(attempt, "leaf", "l")
        return b""

    async def root(attempt: ScriptedAttempt) -> bytes:
        await ask(attempt, "below", "opaque", has_digest=False)
        await ask(attempt, "leaf", "plain")
        return b""

    async def scenario(world: World) -> None:
        await run(world, "one")
        assert await run(world, "two", over="one") == ["below"]
        assert await warnings(world, "two") == [
            "task 'scripted.below' is executed again: its inputs have no stable digest, so nobody can tell whether "
            "they equal those of run 'one'"
        ]

    play(tmp_path, scenario, root=root, leaf=leaf, below=below)


def test_a_run_that_has_not_ended_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    go = asyncio.Event()

    async def root(attempt: ScriptedAttempt) -> bytes:
        await go.wait()
        return b""

    async def scenario(world: World) -> None:
        await submit(world, "one")
        with pytest.raises(CallError, match=r"run 'one' has not ended \((QUEUED|INITIALIZING|RUNNING)\)"):
            await submit(world, "two", Reuse(run="one"))
        assert await world.journal.run(RunId("two")) is None
        go.set()
        await world.engine.until_ended(RunId("one"))

    play(tmp_path, scenario, root=root)


@pytest.mark.parametrize("another", [False, True], ids=["gone", "another of its name"])
def test_a_run_that_is_deleted_meanwhile_takes_nothing_with_it(tmp_path: Path, another: bool) -> None:
    async def forget(world: World) -> None:
        await world.journal.delete_run(RunId("one"))
        if another:
            await run(world, "one")

    deleting: list[Callable[[], Awaitable[None]]] = []

    async def root(attempt: ScriptedAttempt) -> bytes:
        await ask(attempt, "leaf", "a")
        while deleting:
            await deleting.pop()()
        await ask(attempt, "leaf", "b")
        return b""

    async def scenario(world: World) -> None:
        await run(world, "one")
        deleting.append(lambda: forget(world))
        await run(world, "two", over="one")
        assert (await action(world, "two", "a")).outputs == Inline(data=b"a")
        assert [(await action(world, "two", name)).reused_from for name in ("a", "b")] == ["one", None]
        assert (await warnings(world, "two")) == [
            "run 'one' was deleted: what this run had not taken over from it is executed again"
        ]

    play(tmp_path, scenario, root=root, leaf=leaf)


def test_a_resumed_run_goes_on_taking_over(tmp_path: Path) -> None:
    reached = asyncio.Event()
    is_second = False

    async def root(attempt: ScriptedAttempt) -> bytes:
        await ask(attempt, "leaf", "a")
        if is_second and attempt.number == 0:
            reached.set()
            await asyncio.Event().wait()
        await ask(attempt, "leaf", "b")
        return b""

    async def die(world: World) -> None:
        nonlocal is_second
        await run(world, "one")
        is_second = True
        await submit(world, "two", Reuse(run="one"))
        await reached.wait()

    async def go_on(world: World) -> None:
        await world.service.resume(RunId("two"), ResumeRun(request=1, run="two", environ={}))
        await world.engine.until_ended(RunId("two"))
        assert [(await action(world, "two", name)).reused_from for name in ("a", "b")] == ["one", "one"]
        assert [task for task, *_ in world.launcher.started] == ["root"]

    play(tmp_path, die, root=root, leaf=leaf)
    play(tmp_path, go_on, root=root, leaf=leaf)


def test_a_parent_that_is_executed_again_gets_what_was_taken_over(tmp_path: Path) -> None:
    async def root(attempt: ScriptedAttempt) -> bytes:
        calls = [attempt.call("leaf", action=f"a{n}") for n in range(3)]
        attempt.wait()
        await asyncio.gather(*calls)
        if attempt.number == 0 and is_second:
            raise Lost
        return outputs(each.outcome for each in attempt.told)

    is_second = False

    async def scenario(world: World) -> None:
        nonlocal is_second
        await run(world, "one")
        is_second = True
        # The root is started twice, and nothing else is.
        assert await run(world, "two", over="one") == ["root"]
        assert (await action(world, "two")).outputs == (await action(world, "one")).outputs

    play(tmp_path, scenario, root=root, leaf=leaf)


def test_a_race_has_the_same_winner_again(tmp_path: Path) -> None:
    """Outcomes of calls that were made together come in the order in which they came."""
    gates = {b"a0": asyncio.Event(), b"a1": asyncio.Event()}

    async def gated(attempt: ScriptedAttempt) -> bytes:
        await gates[attempt.inputs].wait()
        gates[b"a0"].set()
        return attempt.inputs

    async def root(attempt: ScriptedAttempt) -> bytes:
        calls = [attempt.call("gated", action=name) for name in ("a0", "a1")]
        attempt.wait()
        await asyncio.gather(*calls)
        return outputs(each.outcome for each in attempt.told)

    async def scenario(world: World) -> None:
        gates[b"a1"].set()
        await run(world, "one")
        assert await run(world, "two", over="one") == []
        assert (await action(world, "one")).outputs == Inline(data=b"a1 a0")
        assert (await action(world, "two")).outputs == Inline(data=b"a1 a0")

    play(tmp_path, scenario, root=root, gated=gated)


class SlowToFind(MemoryJournal):
    """Answers when it is allowed to."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()
        self.may_answer = asyncio.Event()

    async def actions_named(self, run: RunId, actions: Sequence[ActionId]) -> Sequence[ActionRecord]:
        self.asked.set()
        await self.may_answer.wait()
        return await super().actions_named(run, actions)


def test_a_call_that_is_aborted_while_it_is_looked_up_is_neither_started_nor_taken_over(tmp_path: Path) -> None:
    async def root(attempt: ScriptedAttempt) -> bytes:
        await ask(attempt, "leaf", "a")
        return b""

    async def scenario(world: World) -> None:
        journal = world.journal
        assert isinstance(journal, SlowToFind)
        await run(world, "one")
        await submit(world, "two", Reuse(run="one"))
        await journal.asked.wait()
        assert not world.engine.only_time_helps
        live = world.engine.runs[RunId("two")]
        world.engine.abort(RunId("two"), None, "enough")
        journal.may_answer.set()
        await world.engine.until_ended(RunId("two"))
        assert live.machine.is_finished
        found = await action(world, "two", "a")
        assert (found.phase, found.reused_from, found.attempts) == (ActionPhase.ABORTED, None, 0)

    play(tmp_path, scenario, journal=SlowToFind, root=root, leaf=leaf)


def test_thousands_of_calls_are_taken_over(tmp_path: Path) -> None:
    async def root(attempt: ScriptedAttempt) -> bytes:
        calls = [attempt.call("leaf", action=f"a{n}") for n in range(1500)]
        attempt.wait()
        return str(sum(isinstance(each, Succeeded) for each in await asyncio.gather(*calls))).encode()

    async def scenario(world: World) -> None:
        await run(world, "one")
        assert await run(world, "two", over="one") == []
        assert (await action(world, "two")).outputs == Inline(data=b"1500")
        record: RunRecord | None = await world.journal.run(RunId("two"))
        assert record is not None
        assert record.phase is ActionPhase.SUCCEEDED
        changes = await world.journal.changes(RunId("two"), limit=10_000)
        assert sum(each.message == "reused from run one" for each in changes) == 1500

    play(tmp_path, scenario, root=root, leaf=leaf)


def test_what_was_taken_over_is_not_kept_while_its_caller_goes_on(tmp_path: Path) -> None:
    live: list[int] = []
    worlds: list[World] = []

    async def root(attempt: ScriptedAttempt) -> bytes:
        for begin in range(0, 600, 200):
            calls = [attempt.call("leaf", action=f"a{n}") for n in range(begin, begin + 200)]
            attempt.wait()
            await asyncio.gather(*calls)
            live.append(worlds[0].engine.live_actions)
        return b""

    async def scenario(world: World) -> None:
        worlds.append(world)
        await run(world, "one")
        await run(world, "two", over="one")
        # The root alone, in both runs; and nothing of the search when they have ended.
        assert live == [1] * 6
        gc.collect()
        assert [type(each) for each in gc.get_objects() if type(each) is Recovery] == []

    gc.collect()
    gc.freeze()
    try:
        play(tmp_path, scenario, root=root, leaf=leaf)
    finally:
        gc.unfreeze()
