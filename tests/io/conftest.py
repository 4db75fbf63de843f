"""A store of each test's own, as the settings would give it."""

from pathlib import Path

import pytest

from volant import io
from volant.blobs.local import LocalBlobs
from volant.values.stored import STORES

assert io


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalBlobs:
    blobs = LocalBlobs(tmp_path / "store")
    monkeypatch.setattr(STORES, "current", lambda: blobs)
    return blobs
