"""Zygotes for the tests of this folder; each is ended, with all that came from it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.worker import user_tasks
from tests.worker.fake_engine import FakeEngine, code_of, engine_for
from volant.model.code import CodeSource


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeEngine]:
    """A zygote with `user_tasks`, shared by the tests of a module: what one fork does, the next must not notice."""
    with engine_for(tmp_path_factory.mktemp("engine"), code_of(user_tasks.__name__)) as engine:
        yield engine


@pytest.fixture
def new_engine(tmp_path: Path) -> Iterator[Callable[..., FakeEngine]]:
    """Makes zygotes for code of a test's own."""
    made: list[FakeEngine] = []

    def make(code: CodeSource | None = None, **options: Any) -> FakeEngine:
        folder = tmp_path / f"engine-{len(made)}"
        folder.mkdir()
        made.append(FakeEngine(folder, code or code_of(user_tasks.__name__), **options))
        return made[-1]

    yield make
    for engine in made:
        engine.close()
