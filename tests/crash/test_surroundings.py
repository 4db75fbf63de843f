"""Disks, clocks, sleep and crowds: each ends in a clear error or goes on, and nothing that was told is lost."""

import asyncio
import contextlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest

from tests.crash.storm.victims import Victims
from tests.crash.test_resuming import PIPELINE, check_never_again, kill_everything, lines, start, until
from tests.scenarios.conftest import PATIENCE, ROOT, User, output
from volant.engine.resuming import read_interrupted
from volant.journal.sqlite import SqliteJournal
from volant.journal.sqlite.maintaining import SqliteMaintenance
from volant.kit import clock as clocks
from volant.kit.clock import LoopClock
from volant.model.errors import VolantError
from volant.model.records import Batch
from volant.ports.journal import RunFilter
from volant.testing.postgres_server import NoPostgresError, PostgresServer

SQUARES = sum(n * n for n in range(30))
PAGE = 4096


@pytest.fixture
def user(new_user: Callable[..., User]) -> User:
    made = new_user(VOLANT_GRACE_PERIOD="0.5")
    made.write("durable.py", PIPELINE)
    return made


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    try:
        started = PostgresServer.start()
    except NoPostgresError as error:
        pytest.skip(f"NOTHING ON POSTGRES IS TESTED HERE: {error}")
    with started:
        yield started


def engine_of(user: User) -> psutil.Process:
    (engine,) = Victims(user.home).engine()
    return engine


# Disks


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux limits a process that runs already")
def test_a_disk_without_room_ends_the_engine_with_an_error_and_the_run_is_resumed_when_there_is_room(
    user: User, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    client = start(user, log, "--name", "full", count=30, seconds=0.02)
    until(lambda: sum(line.startswith("told") for line in lines(log)) >= 3)
    # The engine's files may not grow: of all ways to fill a disk, the one that harms nobody else.
    largest = max(path.stat().st_size for path in user.home.glob("journal.db*"))
    assert hasattr(resource, "prlimit")
    resource.prlimit(engine_of(user).pid, resource.RLIMIT_FSIZE, (largest, largest))
    _, said = client.communicate(timeout=PATIENCE)
    if client.returncode == 0:
        # The client started the next engine, which has room: that is going on.
        assert "the engine went away" in said
    else:
        assert output(user.volant("resume", "full", "-o", "json")) == SQUARES
    assert "journal.db" in (user.home / "engine.log").read_text()
    shown = json.loads(user.volant("get", "run", "full", "-o", "json").stdout)
    assert shown["phase"] == "SUCCEEDED"
    check_never_again(log)
    assert "no problem" in user.volant("db", "check").stderr


def test_a_disk_that_stays_full_is_told_to_who_waits_and_the_run_is_resumed_when_there_is_room(
    user: User, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    arguments = f"run --name full durable.py main --log {log} --count 120"
    # In blocks of 512 bytes. Every engine that this client starts inherits it.
    client = user.start("sh", "-c", f"ulimit -f 400; exec {sys.executable} -m volant {arguments}")
    _, said = client.communicate(timeout=PATIENCE)
    assert client.returncode == 1
    assert "journal.db" in said
    assert "hint: 'volant resume full'" in said
    assert "Traceback" not in said
    assert output(user.volant("resume", "full", "-o", "json")) == sum(n * n for n in range(120))
    check_never_again(log)


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Nobody may write in the folder; for root, whom no mode stops, by a mount."""
    if os.geteuid() != 0:
        files = [folder, *folder.iterdir()]
        for path in files:
            path.chmod(path.stat().st_mode & ~0o222)
        yield
        for path in files:
            path.chmod(path.stat().st_mode | 0o200)
        return
    for command in (["mount", "--bind", folder, folder], ["mount", "-o", "remount,bind,ro", folder]):
        if subprocess.run(command, check=False, capture_output=True).returncode:
            subprocess.run(["umount", folder], check=False, capture_output=True)
            pytest.skip("ROOT MAY NOT MOUNT HERE: a journal that is read-only is not tested")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_journal_that_is_read_only_is_an_error_that_says_so_and_nothing_is_lost(
    new_user: Callable[..., User], tmp_path: Path
) -> None:
    place = tmp_path / "database"
    place.mkdir()
    user = new_user(VOLANT_DATABASE=f"sqlite:///{place}/journal.db")
    user.write("durable.py", PIPELINE)
    log = tmp_path / "log"
    client = start(user, log, "--name", "kept", count=2)
    assert client.wait(PATIENCE) == 0, client.communicate()
    client.communicate()
    user.volant("engine", "stop")
    with read_only(place):
        for command in (["run", "durable.py", "main", "--log", str(log), "--count", "1"], ["get", "run", "kept"]):
            said = user.volant(*command, ok=False)
            assert said.returncode == 1
            assert "read-only" in said.stderr.lower() or "cannot be opened" in said.stderr
            assert str(place) in said.stderr
            assert "Traceback" not in said.stderr
    shown = json.loads(user.volant("get", "run", "kept", "-o", "json").stdout)
    assert shown["phase"] == "SUCCEEDED"


RECORDED = max((ROOT / "tests" / "assets").glob("recorded-*"))
PAGES = (RECORDED / "journal.db").stat().st_size // PAGE


@pytest.mark.parametrize("damage", [b"\xa5" * PAGE, b"\0" * PAGE], ids=["rubbish", "zeros"])
def test_whatever_page_is_damaged_it_is_an_error_of_ours_or_noticed_by_the_check_or_in_no_use(
    tmp_path: Path, damage: bytes
) -> None:
    sound = (RECORDED / "journal.db").read_bytes()
    path = tmp_path / "journal.db"
    told: list[str] = []

    async def use_it() -> object:
        journal = await SqliteJournal.open(path)
        try:
            found = [await everything(journal, run.run) for run in await journal.runs(RunFilter())]
            for run in await journal.unfinished_runs():
                await read_interrupted(journal, run)
            await journal.commit(Batch())
            return found
        finally:
            await journal.close()

    async def everything(journal: SqliteJournal, run: object) -> object:
        actions = await journal.actions(run)  # type: ignore[arg-type]
        attempts = [await journal.attempts(run, action.action) for _, action in actions]  # type: ignore[arg-type]
        return [actions, attempts, await journal.changes(run)]  # type: ignore[arg-type]

    async def body() -> None:
        path.write_bytes(sound)
        whole = await use_it()
        for page in range(PAGES):
            for old in tmp_path.glob("journal.db*"):
                old.unlink()
            path.write_bytes(sound[: page * PAGE] + damage + sound[(page + 1) * PAGE :])
            try:
                found = await use_it()
            except VolantError as error:
                told.append(str(error))
                continue
            if found == whole:
                continue
            # It can be read and says something else: then the check must not be content.
            with contextlib.suppress(VolantError):
                assert (await SqliteMaintenance(path).check()).problems, f"page {page} is damaged and nobody noticed"

    asyncio.run(body())
    assert len(told) > PAGES // 3
    assert all(str(path) in text for text in told)


def test_a_damaged_journal_is_told_to_who_uses_it_and_its_backup_has_what_was_told(user: User, tmp_path: Path) -> None:
    log = tmp_path / "log"
    client = start(user, log, "--name", "kept", count=3)
    out, said = client.communicate(timeout=PATIENCE)
    assert client.returncode == 0, said
    user.volant("db", "backup", str(tmp_path / "copy.db"))
    user.volant("engine", "stop")
    path = user.home / "journal.db"
    content = path.read_bytes()
    # All but the first page, which says what it is.
    path.write_bytes(content[:PAGE] + b"\xa5" * (len(content) - PAGE))
    for command in (["get", "run", "kept"], ["run", "durable.py", "main", "--log", str(log), "--count", "1"]):
        refused = user.volant(*command, ok=False)
        assert refused.returncode == 1
        assert "damaged" in refused.stderr or "malformed" in refused.stderr
        assert "backup" in refused.stderr
        assert "Traceback" not in refused.stderr
    assert user.volant("db", "check", ok=False).returncode == 1
    shutil.copy(tmp_path / "copy.db", path)
    shown = json.loads(user.volant("attach", "kept", "-o", "json").stdout)
    assert shown["outputs"] == json.loads(out)["outputs"]


# Clocks


class SetBack(datetime):
    """A machine's clock that somebody sets."""

    by = timedelta(0)

    @classmethod
    def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
        return datetime.now(UTC) - cls.by


def test_a_clock_that_is_set_back_an_hour_holds_no_timer_up_and_no_time_goes_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(clocks, "datetime", SetBack)
    monkeypatch.setattr(SetBack, "by", timedelta(0))

    async def body() -> None:
        clock = LoopClock()
        before = clock.now()
        first, second = asyncio.Event(), asyncio.Event()
        clock.call_at(before + timedelta(milliseconds=20), first.set)
        SetBack.by = timedelta(hours=1)
        assert clock.now() >= before
        clock.call_at(clock.now() + timedelta(milliseconds=20), second.set)
        await asyncio.wait_for(asyncio.gather(first.wait(), second.wait()), PATIENCE)

    asyncio.run(body())


BACKWARDS = """
    import sys
    from datetime import UTC, datetime, timedelta
    import volant.kit.clock

    class SetBack(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(UTC) - timedelta(hours=1)

    volant.kit.clock.datetime = SetBack
    sys.argv[0] = "volant.wiring.engine"
    from volant.wiring.engine import main
    main()
"""


def test_an_engine_whose_clock_is_an_hour_behind_goes_on_with_a_run(user: User, tmp_path: Path) -> None:
    log = tmp_path / "log"
    client = start(user, log, "--name", "behind", count=4, seconds=0.5)
    until(lambda: len(lines(log)) >= 2)
    kill_everything(user, client)
    user.write("backwards.py", BACKWARDS)
    engine = user.start(sys.executable, "backwards.py", str(user.home))
    until((user.home / "engine.sock").exists)
    try:
        assert output(user.volant("resume", "behind", "-o", "json")) == 14
    finally:
        user.volant("engine", "stop")
        engine.communicate(timeout=PATIENCE)
    check_never_again(log)
    assert "no problem" in user.volant("db", "check").stderr


# Sleep


def test_a_machine_that_slept_goes_on(user: User, tmp_path: Path) -> None:
    log = tmp_path / "log"
    client = start(user, log, count=30, seconds=0.02)
    until(lambda: len(lines(log)) >= 5)
    asleep = [process for process in user.processes() if process.is_running()]
    for process in asleep:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.suspend()
    time.sleep(0.5)
    for process in asleep:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.resume()
    out, said = client.communicate(timeout=PATIENCE)
    assert client.returncode == 0, said
    assert json.loads(out)["outputs"]["o0"] == SQUARES
    check_never_again(log)


def test_an_engine_that_slept_through_its_lease_gives_the_run_up_and_another_ends_it(
    server: PostgresServer, new_user: Callable[..., User], tmp_path: Path
) -> None:
    url = server.new_database()
    shared = {"VOLANT_DATABASE": url, "VOLANT_BLOBS": (tmp_path / "blobs").as_uri(), "VOLANT_CAPACITY_CPU": "4"}
    sleeper, other = new_user(**shared), new_user(**shared)
    for user in (sleeper, other):
        user.write("durable.py", PIPELINE)
    log, kept = tmp_path / "log", tmp_path / "kept"
    client = start(sleeper, log, "--name", "slept", count=6, seconds=0.3)
    staying = start(sleeper, kept, "--name", "kept", count=6, seconds=1.0)
    until(lambda: len(lines(log)) >= 2 and len(lines(kept)) >= 2)
    asleep = [process for process in sleeper.processes() if process.pid not in (client.pid, staying.pid)]
    for process in asleep:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.suspend()
    taken = "FROM volant.runs WHERE number = run_number AND run = 'slept'"
    server.execute(f"UPDATE volant.leases SET until = now() {taken}", url.rpartition("/")[2])
    try:
        assert output(other.volant("resume", "slept", "-o", "json")) == 55
    finally:
        for process in asleep:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGCONT)
    out, said = client.communicate(timeout=PATIENCE)
    # Its client is told the end that the other engine gave it.
    assert client.returncode == 0, said
    assert json.loads(out)["outputs"]["o0"] == 55
    assert "run slept is given up" in (sleeper.home / "engine.log").read_text()
    out, said = staying.communicate(timeout=PATIENCE)
    assert staying.returncode == 0, said
    assert json.loads(out)["outputs"]["o0"] == 55
    check_never_again(kept)


# Crowds


def test_clients_that_come_to_an_empty_home_at_once_share_one_engine(user: User, tmp_path: Path) -> None:
    clients = [start(user, tmp_path / str(n), count=2) for n in range(4)]
    for client in clients:
        out, said = client.communicate(timeout=PATIENCE)
        assert client.returncode == 0, said
        assert json.loads(out)["outputs"]["o0"] == 1
    engines = {line.split(" engine ")[1].split()[0] for line in _started(user)}
    assert len(engines) == 1


def test_engines_that_come_to_an_empty_database_at_once_all_use_it(
    server: PostgresServer, new_user: Callable[..., User], tmp_path: Path
) -> None:
    shared = {"VOLANT_DATABASE": server.new_database(), "VOLANT_BLOBS": (tmp_path / "blobs").as_uri()}
    users = [new_user(**shared) for _ in range(3)]
    for each in users:
        each.write("durable.py", PIPELINE)
    clients = [start(each, tmp_path / str(n), count=2) for n, each in enumerate(users)]
    for client in clients:
        out, said = client.communicate(timeout=PATIENCE)
        assert client.returncode == 0, said
        assert json.loads(out)["outputs"]["o0"] == 1
    listed = json.loads(users[0].volant("get", "runs", "-o", "json").stdout)
    assert len(listed if isinstance(listed, list) else listed["runs"]) == 3


def _started(user: User) -> list[str]:
    return [line for line in (user.home / "engine.log").read_text().splitlines() if ", pid " in line]
