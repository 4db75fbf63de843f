"""Every test defines environments of its own."""

from collections.abc import Iterator

import pytest

from tests.authoring.sessions import LocalSession, in_run
from volant.authoring.environment import TaskEnvironment
from volant.authoring.registry import default_registry


@pytest.fixture(autouse=True)
def _own_registry() -> Iterator[None]:
    with default_registry.isolated():
        yield


@pytest.fixture
def env() -> TaskEnvironment:
    return TaskEnvironment("env")


@pytest.fixture
def session() -> Iterator[LocalSession]:
    with in_run() as found:
        yield found
