"""Short homes, and clients for them."""

import asyncio
import inspect
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from volant.blobs.local import LocalBlobs
from volant.client.client import Client
from volant.client.reporting import Silent
from volant.model.records import Change, RunRecord
from volant.model.worker_protocol import Outcome
from volant.settings.loading import load_settings


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run async tests, each on a loop of its own."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True


@pytest.fixture
def home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="vh") as folder:
        yield Path(folder).resolve() / "home"


class Recorder(Silent):
    """A reporter that remembers."""

    def __init__(self) -> None:
        self.runs: list[RunRecord] = []
        self.changes: list[Change] = []
        self.ends: list[RunRecord] = []
        self.notices: list[str] = []

    def accepted(self, run: RunRecord) -> None:
        self.runs.append(run)

    def changed(self, changes: Sequence[Change]) -> None:
        self.changes.extend(changes)

    def ended(self, run: RunRecord, outcome: Outcome | None) -> None:
        self.ends.append(run)

    def notice(self, message: str) -> None:
        self.notices.append(message)


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def make_client(home: Path, recorder: Recorder) -> Callable[..., Client]:
    def make(**settings: Any) -> Client:
        def no_inline(tell: object) -> Any:
            raise AssertionError(tell)

        return Client(
            load_settings(arguments={"home": home, **settings}, environ={}, use_project=False),
            blobs=LocalBlobs(home / "blobs"),
            reporters=lambda _mode: recorder,
            inline_workers=no_inline,
        )

    return make
