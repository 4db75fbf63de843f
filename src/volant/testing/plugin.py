"""The pytest plugin; pytest finds it by its entry point.

A test run that asks for none of the fixtures pays for this module only: what a fixture makes is imported when it is
first made. That is the third place beside `wiring` and the command table where imports do not stand at the top.
"""

import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from volant.settings.tree import Mode
    from volant.testing.running import RunTask
    from volant.testing.sessions import TestHome
    from volant.testing.stubbing import StubTask

_MARKER = "volant"
_runs: "pytest.StashKey[RunTask]" = pytest.StashKey()


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers", "volant(mode): 'inline' (the default) or 'local', how the runs of the test are executed"
    )


@pytest.fixture(scope="session")
def volant_session() -> "Generator[TestHome]":
    """The home of the test session, with an engine whose clock jumps over waits; both end with the session."""
    from volant.testing.sessions import TestHome

    home = TestHome()
    try:
        yield home
    finally:
        home.close()


@pytest.fixture
def volant_home(volant_session: "TestHome", request: pytest.FixtureRequest) -> Generator[Path]:
    """The folder of the session's home. While a test has it, `volant.run` goes there, inline unless marked."""
    from volant.testing.sessions import isolated

    volant_session.ensure_engine()
    with isolated(volant_session, _mode_of(request.node)):
        yield volant_session.path


@pytest.fixture
def stub_task(volant_home: Path) -> "Generator[StubTask]":
    """Replaces what tasks do inside runs: `stub_task(task, returns=...)`, `raises=...` or `calls=...`.

    Until the test ends, or as a context manager. `stub.calls` has the arguments of every attempt.
    """
    from volant.testing.stubbing import StubTask

    # Below the home, so that it goes with it; of this test alone.
    stubs = StubTask(Path(tempfile.mkdtemp(prefix="stubs-", dir=volant_home)))
    try:
        yield stubs
    finally:
        stubs.remove()


@pytest.fixture
def run_task(
    volant_home: Path, volant_session: "TestHome", stub_task: "StubTask", request: pytest.FixtureRequest
) -> "RunTask":
    """Runs a task to its end: `run = run_task(task, *args)`, or `await run_task.aio(task, *args)`.

    The run is returned however it ended: `run.phase`, `run.result()`, `run.error`, `run.actions`.
    """
    from volant.testing.running import RunTask

    runs = RunTask(volant_session, mode=_mode_of(request.node), stubs=stub_task)
    request.node.stash[_runs] = runs
    return runs


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: "pytest.CallInfo[None]"
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show with a failed test which of its runs failed, where, and why."""
    report = yield
    runs = item.stash.get(_runs, None)
    if runs is not None and report.when == "call" and report.failed:
        from volant.model.phases import ActionPhase
        from volant.testing.reporting import text_of, title_of

        for run in runs.made:
            if run.phase is not ActionPhase.SUCCEEDED:
                report.sections.append((title_of(run), text_of(run)))
    return report


def _mode_of(item: Any) -> "Mode":
    """What the marker nearest to the test says."""
    from volant.testing.running import testable_mode

    marker: pytest.Mark | None = item.get_closest_marker(_MARKER)
    if marker is None:
        return testable_mode("volant", "inline")
    unknown = sorted(set(marker.kwargs) - {"mode"})
    if marker.args or unknown:
        found = ", ".join([*(repr(each) for each in marker.args), *unknown])
        raise pytest.UsageError(f"@pytest.mark.volant: found {found}, expected mode='inline' or mode='local'")
    return testable_mode("@pytest.mark.volant", marker.kwargs.get("mode", "inline"))
