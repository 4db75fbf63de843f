"""What is only warned about: once per run, where the run is shown, in one form."""

import asyncio
import io

import pytest

from tests.mistakes.catalogue import Mistake, mistakes
from tests.mistakes.conftest import Place
from tests.mistakes.test_submissions import live_runs
from volant.api.program import program
from volant.client.lines import Lines


@pytest.mark.parametrize("mode", ["inline", "local"])
@pytest.mark.parametrize("mistake", mistakes("warnings"))
def test_a_warning_is_said_once(
    place: Place, mistake: Mistake, mode: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    asyncio.run(live_runs())
    shown = io.StringIO()
    monkeypatch.setattr(program, "reporters", lambda _mode: Lines(shown))
    name = f"{mistake.name}-{mode}".replace(" ", "_").replace("-", "_")
    module = place.execute(mistake.written, name=name)
    for variable, value in getattr(module, "VARIABLES", {}).items():
        monkeypatch.setenv(variable, value)
    runner = module.volant.with_runcontext(mode=mode, **getattr(module, "OPTIONS", {}))
    runner.run(module.main, *getattr(module, "ARGUMENTS", ()))
    warnings = [line for line in shown.getvalue().splitlines() if "warning" in line]
    mistake.check("\n".join(sorted(warnings)))
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")
