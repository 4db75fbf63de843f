"""Homes that earlier versions recorded are read by this one, and their interrupted runs resumed to the right end.

`python -m tests.recorded.record tests/assets/recorded-N` records one; see there.
"""

import asyncio
import json
import shutil
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

import volant
from tests.scenarios.conftest import ROOT, User, output
from volant.journal.sqlite import SqliteJournal
from volant.model.ids import RunId
from volant.model.records import Batch
from volant.model.submissions import decode_submission, encode_submission

HOMES = sorted((ROOT / "tests" / "assets").glob("recorded-*"))
TABLES = ("runs", "run_labels", "actions", "attempts", "changes", "specs")


@pytest.fixture(params=HOMES, ids=lambda home: home.name)
def recorded(request: pytest.FixtureRequest) -> Path:
    """What was recorded, not to be written to."""
    return Path(request.param)


def moved_in(new_user: Callable[..., User], recorded: Path) -> User:
    """A user whose home is a copy."""
    user = new_user()
    user.home.mkdir(mode=0o700)
    shutil.copy(recorded / "journal.db", user.home)
    shutil.copytree(recorded / "blobs", user.home / "blobs")
    user.volant("db", "upgrade")
    return user


def contains(found: Any, wanted: Any) -> bool:
    """Whether all that was shown then is shown now; there may be more."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(contains(found.get(name), value) for name, value in wanted.items())
    if isinstance(wanted, list):
        return isinstance(found, list) and len(found) == len(wanted) and all(map(contains, found, wanted))
    return bool(found == wanted)


def test_something_is_recorded() -> None:
    assert HOMES


def test_a_recorded_home_has_every_kind_of_row_and_names_no_machine(recorded: Path) -> None:
    with closing(sqlite3.connect(f"{(recorded / 'journal.db').as_uri()}?immutable=1", uri=True)) as db:
        assert [db.execute(f"SELECT count(*) > 0 FROM {table}").fetchone() for table in TABLES] == [(1,)] * len(TABLES)
    assert len(list((recorded / "blobs").rglob("*"))) > 1
    for path in recorded.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        for place in (b"/root", b"/home/", b"/work", b".venv", b"site-packages"):
            assert place not in content, f"{path} names {place!r}"


def test_a_recorded_home_is_shown_as_it_was(new_user: Callable[..., User], recorded: Path) -> None:
    user = moved_in(new_user, recorded)
    wanted = json.loads((recorded / "expected.json").read_text())
    assert "no problem" in user.volant("db", "check").stderr
    listed = json.loads(user.volant("get", "runs", "-o", "json").stdout)
    assert {run["run"] for run in (listed if isinstance(listed, list) else listed["runs"])} == set(wanted)
    for run, shown in wanted.items():
        for command, then in shown.items():
            now = json.loads(user.volant("get", command, run, "-o", "json").stdout)
            assert contains(now, then), f"volant get {command} {run}"
        last = shown["run"]["actions"][-1]
        details = json.loads(user.volant("get", "action", run, last["action"], "-o", "json").stdout)
        assert details["phase"] == last["phase"]


def test_the_interrupted_run_of_a_recorded_home_is_resumed_to_the_right_end(
    new_user: Callable[..., User], recorded: Path, tmp_path: Path
) -> None:
    user = moved_in(new_user, recorded)
    asyncio.run(settle(user.home / "journal.db", user.folder))
    log, gate = tmp_path / "log", tmp_path / "gate"
    gate.touch()
    user.environ |= {"RECORDED_LOG": str(log), "RECORDED_GATE": str(gate)}
    assert output(user.volant("resume", "interrupted", "-o", "json")) == 4 + (0 + 1 + 4 + 9) + (1 + 2) + 100 * 100
    # Neither the squares nor the failure that were told before.
    assert sorted(log.read_text().splitlines()) == ["gate 1", "gate 2", "square 100"]
    assert "no problem" in user.volant("db", "check").stderr


async def settle(path: Path, folder: Path) -> None:
    """Say where this machine has what the run needs: a home is resumed where its interpreter is."""
    journal = await SqliteJournal.open(path)
    record = await journal.run(RunId("interrupted"))
    assert record is not None
    options, code = decode_submission(record.options)
    here = msgspec.structs.replace(
        code,
        interpreter=sys.executable,
        package_root=str(Path(volant.__file__).parents[1]),
        sys_path=(str(folder), *sys.path),
        cwd=str(folder),
    )
    await journal.commit(Batch(runs=(msgspec.structs.replace(record, options=encode_submission(options, here)),)))
    await journal.close()
