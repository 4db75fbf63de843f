"""What has no effect here is said once per run, and refused where the run is strict."""

from pathlib import Path

import msgspec
import pytest

from tests.engine.worlds import World, play, submission
from volant.model.control_protocol import RunOptions
from volant.model.errors import NotSupportedError
from volant.model.ids import RunId
from volant.model.phases import ActionPhase
from volant.model.records import ChangeKind
from volant.model.specs import ActionSpec
from volant.testing.scripted_launcher import Refused, ScriptedAttempt, encoded, scripted_spec

PLAIN = RunOptions(name="r")
EVERY_OPTION = RunOptions(name="r", queue="gpu", interruptible=True, overwrite_cache=True, disable_run_cache=True)


def asking(*, cpu: int = 1000, gpu: int = 0, given: tuple[str, ...] = ()) -> ActionSpec:
    """The task `root` with requests, and with parameters that have no effect."""
    spec = scripted_spec("root", cpu=cpu)
    resources = msgspec.structs.replace(spec.resources, gpu=gpu)
    return msgspec.structs.replace(spec, resources=resources, not_enforced=given)


async def submit(world: World, options: RunOptions, spec: ActionSpec) -> None:
    digest, body = encoded(spec)
    message = msgspec.structs.replace(submission("root", name="r"), spec=digest, spec_body=body, options=options)
    await world.service.submissions.submit(message, lambda _run, _mode: world.launcher)
    await world.engine.until_ended(RunId("r"))


async def root(attempt: ScriptedAttempt) -> bytes:
    return b""


async def warnings(world: World) -> list[str]:
    return [each.message for each in await world.journal.changes(RunId("r")) if each.kind is ChangeKind.WARNING]


def test_options_of_a_run_without_an_effect_are_named_once(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        # The task gives the queue too: that is said already.
        await submit(world, EVERY_OPTION, asking(given=("queue", "report")))
        assert await warnings(world) == [
            "interruptible is accepted but not enforced yet; the run's options give it",
            "queue is accepted but not enforced yet; the run's options give it",
            "overwrite_cache is accepted but not enforced yet; the run's options give it",
            "disable_run_cache is accepted but not enforced yet; the run's options give it",
            "report is accepted but not enforced yet; task 'scripted.root' gives it",
        ]

    play(tmp_path, scenario, root=root)


def test_what_is_as_it_would_be_anyway_needs_no_words(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        await submit(world, RunOptions(name="r", interruptible=False), asking())
        assert await warnings(world) == []

    play(tmp_path, scenario, root=root)


@pytest.mark.parametrize(
    ("options", "spec", "wanted"),
    [
        (
            EVERY_OPTION,
            asking(),
            "the run's options give interruptible, queue, overwrite_cache, disable_run_cache, not",
        ),
        (PLAIN, asking(given=("report",)), "task 'scripted.root' gives report, not enforced yet"),
        (PLAIN, asking(cpu=3000), "task 'scripted.root' requests more than the machine has (3 CPU of 2)"),
        (PLAIN, asking(gpu=1), "task 'scripted.root' requests 1 GPU, and this machine has none"),
    ],
)
def test_a_strict_run_is_refused_and_nothing_is_written(
    tmp_path: Path, options: RunOptions, spec: ActionSpec, wanted: str
) -> None:
    async def scenario(world: World) -> None:
        with pytest.raises(NotSupportedError) as refused:
            await submit(world, msgspec.structs.replace(options, strict=True), spec)
        assert str(refused.value).startswith(f"strict: {wanted}")
        assert await world.journal.run(RunId("r")) is None
        assert list(await world.journal.specs()) == []
        assert world.engine.is_idle

    play(tmp_path, scenario, root=root)


def test_a_call_of_a_strict_run_is_refused_where_it_is_made(tmp_path: Path) -> None:
    async def calls(attempt: ScriptedAttempt) -> bytes:
        call = attempt.call("leaf", action="large", cpu=3000)
        attempt.wait()
        with pytest.raises(Refused, match=r"strict: task 'scripted\.leaf' requests more than"):
            await call
        small = attempt.call("leaf", action="small")
        attempt.wait()
        await small
        return b""

    async def scenario(world: World) -> None:
        await submit(world, RunOptions(name="r", strict=True), asking())
        assert await world.journal.count_actions(RunId("r")) == {ActionPhase.SUCCEEDED: 2}

    play(tmp_path, scenario, root=calls, leaf=root)
