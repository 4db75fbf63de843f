"""Wrong submissions and calls: refused before anything is written. One engine serves all of them."""

import asyncio
import textwrap

import pytest

from tests.mistakes.catalogue import Mistake, mistakes
from tests.mistakes.conftest import Place
from volant.api.program import program
from volant.authoring.task import Task
from volant.model.control_protocol import EngineStatus, GetStatus
from volant.model.errors import VolantError

CALLERS = """\
@env.task
async def double(n: int) -> int:
    return 2 * n
@env.task
def half(n: int) -> float:
    return n / 2
@env.task
async def anything(value: Any) -> None: ...
vault = TaskEnvironment("vault", secrets="api-key")
@vault.task
async def secretive() -> None: ...
env.add_dependency(vault)
@env.task
async def main() -> None:
"""


async def live_runs() -> tuple[str, ...]:
    async with program.client().connection() as connection:
        return (await connection.ask(lambda number: GetStatus(request=number), EngineStatus)).live_runs


@pytest.mark.parametrize("mistake", mistakes("submissions"))
def test_a_wrong_submission_writes_nothing(place: Place, mistake: Mistake) -> None:
    asyncio.run(live_runs())  # the engine is there, and so is its empty journal
    before = place.written()
    with pytest.raises(Exception) as caught:  # noqa: PT011 - which one is compared below
        place.execute(mistake.written)
    mistake.check(place.told(caught.value))
    assert isinstance(caught.value, VolantError)
    assert caught.value.hint
    if type(caught.value).__name__ != "RunNameTakenError":
        assert place.written() == before
    assert asyncio.run(live_runs()) == ()


@pytest.mark.parametrize("mistake", mistakes("calls"))
def test_a_wrong_call_creates_no_child(place: Place, mistake: Mistake) -> None:
    module = place.execute(f"{CALLERS}{textwrap.indent(mistake.written, '    ')}")
    main: Task[..., object] = module.main
    asyncio.run(live_runs())
    before = place.counts()
    with pytest.raises(Exception) as caught:  # noqa: PT011 - which one is compared below
        module.volant.with_runcontext(mode="inline", name=mistake.name.replace(" ", "-")).run(main)
    mistake.check(place.told(caught.value))
    assert isinstance(caught.value, VolantError)
    assert caught.value.hint
    after = place.counts()
    assert {name: after[name] - before[name] for name in ("runs", "actions")} == {"runs": 1, "actions": 1}
