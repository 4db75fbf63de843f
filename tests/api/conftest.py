"""A home with an engine for the tests of a module, and a program that has told Volant nothing."""

import asyncio
import inspect
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from volant.api.program import program
from volant.client.reporting import Silent
from volant.model.control_protocol import Done, StopEngine


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run async tests, each on a loop of its own."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True


@pytest.fixture(scope="session")
def shared_home() -> Iterator[Path]:
    """One home, whose engine is stopped in the end."""
    with tempfile.TemporaryDirectory(prefix="vh") as folder:
        home = Path(folder).resolve() / "home"
        yield home
        if home.exists():
            asyncio.run(_stop(home))


async def _stop(home: Path) -> None:
    settings = program.settings({"home": home, "mode": None})
    async with program.client(settings).running_connection() as connection:
        if connection is not None:
            await connection.ask(lambda number: StopEngine(request=number, abort_runs=True), Done)
            await connection.gone


@pytest.fixture(autouse=True)
def home(shared_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Everything a test runs goes there, and is not shown."""
    monkeypatch.setenv("VOLANT_HOME", str(shared_home))
    monkeypatch.delenv("VOLANT_MODE", raising=False)
    monkeypatch.setattr(program, "arguments", {})
    monkeypatch.setattr(program, "flags", {})
    monkeypatch.setattr(program, "endpoint", None)
    monkeypatch.setattr(program, "reporters", lambda _mode: Silent())
    return shared_home
