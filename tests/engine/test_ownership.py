"""Being the one engine of a home, and knowing who was it before."""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from volant.engine import ownership
from volant.engine.ownership import HomeLock

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def taken(path: Path) -> HomeLock:
    lock = HomeLock.acquire(path, started_at=NOW)
    assert lock is not None
    return lock


def test_one_process_has_a_home_and_whoever_has_it_next_knows_who_had_it_before(tmp_path: Path) -> None:
    path = tmp_path / "engine.lock"
    for number in range(120):
        lock = taken(path)
        assert lock.before == tuple(f"engine{n}" for n in range(max(0, number - 100), number))
        lock.note(f"engine{number}")
        assert HomeLock.acquire(path, started_at=NOW) is None
        lock.release()
    assert json.loads(path.read_text())["started_at"] == NOW.isoformat()


def test_an_engine_that_died_before_it_had_a_name_does_not_hide_those_before(tmp_path: Path) -> None:
    path = tmp_path / "engine.lock"
    first = taken(path)
    first.note("first")
    first.release()
    taken(path).release()
    assert taken(path).before == ("first",)


def test_the_engine_of_a_home_that_was_copied_may_be_alive(tmp_path: Path) -> None:
    lock = taken(tmp_path / "engine.lock")
    lock.note("alive")
    shutil.copy(tmp_path / "engine.lock", tmp_path / "copy.lock")
    assert taken(tmp_path / "copy.lock").before == ()


def test_the_engine_of_another_boot_or_machine_may_be_alive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "engine.lock"
    lock = taken(path)
    lock.note("elsewhere")
    lock.release()
    with monkeypatch.context() as patch:
        patch.setattr(ownership, "_boot_id", lambda: "another")
        assert taken(path).before == ()


def test_a_file_that_an_older_release_or_nobody_wrote_names_nobody(tmp_path: Path) -> None:
    for text in ("", "{", "[]", '{"pid": 1, "boot": "", "started_at": ""}', '{"file": 1, "engines": 7}'):
        path = tmp_path / "engine.lock"
        path.write_text(text)
        lock = taken(path)
        assert lock.before == ()
        lock.release()
