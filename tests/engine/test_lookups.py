"""What clients ask about runs, actions, tasks and workers, and what they may delete."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.engine.worlds import Peer, World, play
from volant.model.control_protocol import (
    AbortRun,
    ActionDetails,
    DeleteRun,
    Done,
    GetAction,
    GetRun,
    ListSummaries,
    ListTasks,
    ListWorkers,
    Refused,
    RunDetails,
    SummaryList,
    TaskList,
    WorkerList,
)
from volant.model.ids import ActionId, RunId
from volant.model.payloads import Inline
from volant.model.phases import ActionPhase
from volant.model.records import ActionRecord, Batch, RunRecord
from volant.model.waits import WaitKind
from volant.testing.scripted_launcher import ScriptedAttempt, scripted_id

R = RunId("r")
T0 = datetime(2026, 1, 1, tzinfo=UTC)


async def leaf(attempt: ScriptedAttempt) -> bytes:
    return attempt.inputs


async def fails(attempt: ScriptedAttempt) -> bytes:
    raise ValueError("first line\nsecond line")


async def forever(attempt: ScriptedAttempt) -> bytes:
    await asyncio.sleep(3600)
    return b""


async def busy(attempt: ScriptedAttempt) -> bytes:
    """Calls three that never end, on a machine of two cores."""
    calls = [attempt.call("forever", action=name) for name in "abc"]
    attempt.wait()
    await asyncio.gather(*calls)
    return b""


async def refused(peer: Peer, message: object) -> Refused:
    found = await peer.ask(message)  # type: ignore[arg-type]
    assert isinstance(found, Refused)
    return found


async def until_started(world: World, count: int) -> None:
    """So many attempts run, and the journal knows it."""
    while len(await world.journal.actions(R, phases=(ActionPhase.RUNNING,))) < count:
        await asyncio.sleep(0.001)


async def write_run(world: World, name: str, ids: dict[str, str], phase: ActionPhase = ActionPhase.SUCCEEDED) -> None:
    """A run with actions of these ids and tasks."""
    plain = {"run": RunId(name), "spec": "s", "inputs": Inline(data=b""), "created_at": T0, "phase": phase}
    root = ActionId(next(iter(ids)).ljust(32, "0"))
    await world.journal.commit(
        Batch(
            runs=(RunRecord(run=RunId(name), task="t", root=root, phase=phase, created_at=T0),),
            actions=tuple(
                ActionRecord(
                    action=ActionId(each.ljust(32, "0")), parent=None, task=f"env.{task}", short_name=task, **plain
                )
                for each, task in ids.items()
            ),
        )
    )


class TestNames:
    @pytest.mark.parametrize(
        ("given", "wanted"),
        [("ab1", "ab1"), ("c", "c"), ("AB1", "ab1"), ("c".ljust(32, "0"), "c"), ("main", "ab1"), ("env.main", "ab1")],
    )
    def test_an_action_is_found_by_its_id_its_beginning_or_its_task(
        self, tmp_path: Path, given: str, wanted: str
    ) -> None:
        async def scenario(world: World) -> None:
            await write_run(world, "r", {"ab1": "main", "ab2": "leaf", "c": "leaf"})
            peer = await Peer.connect(world)
            found = await peer.ask(GetAction(request=1, run="r", action=given))
            assert isinstance(found, ActionDetails)
            assert found.action.action == wanted.ljust(32, "0")
            await peer.leave()

        play(tmp_path, scenario)

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ("ab", "'ab' is the start of several actions of run 'r': ab1000000000, ab2000000000"),
            ("leaf", "run 'r' called task 'leaf' several times: ab2000000000, c00000000000"),
            ("laef", "run 'r' has no action 'laef'; did you mean 'leaf'?"),
            ("d", "run 'r' has no action 'd'"),
            ("", "run 'r' has no action ''"),
            ("z" * 40, f"run 'r' has no action '{'z' * 40}'"),
        ],
    )
    def test_an_action_that_is_not_meant_clearly_is_an_error_that_helps(
        self, tmp_path: Path, given: str, message: str
    ) -> None:
        async def scenario(world: World) -> None:
            await write_run(world, "r", {"ab1": "main", "ab2": "leaf", "c": "leaf"})
            peer = await Peer.connect(world)
            found = await refused(peer, GetAction(request=1, run="r", action=given))
            assert (found.error, found.message) == ("ActionNotFoundError", message)
            assert found.hint is not None
            await peer.leave()

        play(tmp_path, scenario)

    def test_a_run_that_ends_while_it_is_looked_at_is_not_said_to_be_left(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        opened = asyncio.Event()

        async def gated(attempt: ScriptedAttempt) -> bytes:
            await opened.wait()
            return b""

        async def scenario(world: World) -> None:
            await world.submit("gated")
            peer = await Peer.connect(world)
            counted = world.journal.count_actions

            async def ends_meanwhile(run: RunId) -> Mapping[ActionPhase, int]:
                opened.set()
                await world.engine.until_ended(R)
                while not world.engine.is_idle:
                    await asyncio.sleep(0.001)
                return await counted(run)

            monkeypatch.setattr(world.journal, "count_actions", ends_meanwhile)
            found = await peer.ask(GetRun(request=1, run="r"))
            assert isinstance(found, RunDetails)
            assert found.live or found.run.phase.is_final
            await peer.leave()

        play(tmp_path, scenario, gated=gated)

    def test_a_run_that_is_not_meant_clearly_is_an_error_that_helps(self, tmp_path: Path) -> None:
        async def scenario(world: World) -> None:
            for number in range(7):
                await write_run(world, f"swift-{number}", {"a": "main"})
            peer = await Peer.connect(world)
            several = await refused(peer, GetRun(request=1, run="swift"))
            assert several.message == (
                "'swift' is the start of several runs: swift-6, swift-5, swift-4, swift-3, swift-2, ..."
            )
            nearest = await refused(peer, GetRun(request=2, run="swfit-4"))
            assert nearest.message == "there is no run named 'swfit-4' in this home; did you mean 'swift-4'?"
            await peer.leave()

        play(tmp_path, scenario)


class TestSummaries:
    def test_they_tell_what_the_actions_wait_for(self, tmp_path: Path) -> None:
        async def scenario(world: World) -> None:
            await world.submit("busy")
            await until_started(world, 3)
            peer = await Peer.connect(world)
            found = await peer.ask(ListSummaries(request=1, run=R))
            assert isinstance(found, SummaryList)
            root, *calls = found.actions
            assert (root.short_name, root.parent) == ("busy", None)
            assert root.wait is not None
            assert (root.wait.kind, root.wait.calls) == (WaitKind.CHILDREN, 3)
            assert [each.wait is None for each in calls] == [True, True, False]
            assert calls[2].wait is not None
            assert calls[2].wait.kind is WaitKind.PLACE
            assert {each.parent for each in calls} == {root.action}
            details = await peer.ask(GetAction(request=2, run="r", action=calls[2].action))
            assert isinstance(details, ActionDetails)
            assert details.wait == calls[2].wait
            await peer.ask(AbortRun(request=3, run=R))
            await peer.leave()

        play(tmp_path, scenario, busy=busy, forever=forever)

    def test_they_come_in_pages_and_by_phase(self, tmp_path: Path) -> None:
        async def scenario(world: World) -> None:
            await world.run("fails")
            peer = await Peer.connect(world)
            page = await peer.ask(ListSummaries(request=1, run=R, phases=(ActionPhase.FAILED,), limit=1))
            assert isinstance(page, SummaryList)
            (only,) = page.actions
            assert (only.code, only.message) == ("ValueError", "first line")
            rest = await peer.ask(ListSummaries(request=2, run=R, after=page.position))
            assert rest == SummaryList(request=2, actions=(), position=page.position)
            await peer.leave()

        play(tmp_path, scenario, fails=fails)


class TestTasks:
    def test_each_is_listed_once_as_it_was_used_last(self, tmp_path: Path) -> None:
        async def scenario(world: World) -> None:
            await world.run("leaf", name="one")
            await world.run("fails", name="two")
            await world.run("leaf", name="three", retries=3)
            peer = await Peer.connect(world)
            found = await peer.ask(ListTasks(request=1))
            assert isinstance(found, TaskList)
            assert [each.settings.task for each in found.tasks] == ["scripted.leaf", "scripted.fails"]
            assert found.tasks[0].settings.retries.count == 3
            one = await peer.ask(ListTasks(request=2, task="scripted.fails"))
            assert isinstance(one, TaskList)
            assert [each.settings.short_name for each in one.tasks] == ["fails"]
            none = await peer.ask(ListTasks(request=3, environment="other"))
            assert none == TaskList(request=3, tasks=())
            few = await peer.ask(ListTasks(request=4, environment="scripted", limit=1))
            assert isinstance(few, TaskList)
            assert len(few.tasks) == 1
            await peer.leave()

        play(tmp_path, scenario, leaf=leaf, fails=fails)


class TestWorkers:
    def test_live_attempts_are_listed(self, tmp_path: Path) -> None:
        async def scenario(world: World) -> None:
            peer = await Peer.connect(world)
            assert await peer.ask(ListWorkers(request=1)) == WorkerList(request=1, workers=())
            await world.submit("busy")
            await until_started(world, 3)
            found = await peer.ask(ListWorkers(request=2))
            assert isinstance(found, WorkerList)
            assert [(each.task, each.pid, each.attempt, each.run) for each in found.workers] == [
                ("scripted.busy", 1, 0, "r"),
                ("scripted.forever", 1, 0, "r"),
                ("scripted.forever", 1, 0, "r"),
            ]
            await peer.ask(AbortRun(request=3, run=R))
            await peer.leave()

        play(tmp_path, scenario, busy=busy, forever=forever)


class TestAborting:
    def test_one_action_is_aborted_by_the_beginning_of_its_id(self, tmp_path: Path) -> None:
        async def one(attempt: ScriptedAttempt) -> bytes:
            call = attempt.call("forever", action="f")
            attempt.wait()
            await call
            return b"went on"

        async def scenario(world: World) -> None:
            await world.submit("one")
            await until_started(world, 2)
            peer = await Peer.connect(world)
            child = scripted_id(scripted_id("one"), "f")
            assert await peer.ask(AbortRun(request=1, run=R, action=child[:10])) == Done(request=1)
            await world.engine.until_ended(R)
            details = await peer.ask(GetRun(request=2, run="r"))
            assert isinstance(details, RunDetails)
            assert details.run.phase is ActionPhase.SUCCEEDED
            assert details.counts == {"SUCCEEDED": 1, "ABORTED": 1}
            await peer.leave()

        play(tmp_path, scenario, one=one, forever=forever)

    def test_an_action_that_nobody_executes_is_not_aborted_alone(self, tmp_path: Path) -> None:
        async def scenario(world: World) -> None:
            await write_run(world, "r", {"a": "main"}, ActionPhase.RUNNING)
            peer = await Peer.connect(world)
            found = await refused(peer, AbortRun(request=1, run=R, action="a"))
            assert found.error == "ActionNotFoundError"
            assert "when the engine that executed it ended" in found.message
            record = await world.journal.run(R)
            assert record is not None
            assert record.phase is ActionPhase.RUNNING
            await peer.leave()

        play(tmp_path, scenario)


class TestDeleting:
    def test_a_run_that_has_ended_is_forgotten_with_its_output(self, tmp_path: Path) -> None:
        async def scenario(world: World) -> None:
            await world.run("leaf")
            folder = tmp_path / "logs" / "r"
            folder.mkdir(parents=True)
            (folder / "some.log").write_text("x")
            peer = await Peer.connect(world)
            assert await peer.ask(DeleteRun(request=1, run=R)) == Done(request=1)
            assert not folder.exists()
            assert (await refused(peer, GetRun(request=2, run="r"))).error == "RunNotFoundError"
            assert (await refused(peer, DeleteRun(request=3, run=R))).error == "RunNotFoundError"
            await world.run("leaf")  # the name is free again
            await peer.leave()

        play(tmp_path, scenario, leaf=leaf)

    def test_a_run_that_has_not_ended_stays(self, tmp_path: Path) -> None:
        async def scenario(world: World) -> None:
            await world.submit("forever")
            await until_started(world, 1)
            await write_run(world, "left", {"a": "main"}, ActionPhase.RUNNING)
            peer = await Peer.connect(world)
            for number, name in enumerate(("r", "left"), start=1):
                found = await refused(peer, DeleteRun(request=number, run=RunId(name)))
                assert found.message == f"run '{name}' has not ended (RUNNING) and was not deleted"
                assert found.hint == f"end it first: volant abort run {name}"
                assert await world.journal.run(RunId(name)) is not None
            await peer.ask(AbortRun(request=3, run=R))
            await peer.leave()

        play(tmp_path, scenario, forever=forever)
