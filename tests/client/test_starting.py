"""Starting engines: nobody waits for it, and what goes wrong is said with the engine's own words."""

import asyncio
import os
import socket
import stat
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.client.fake_engine import FakeEngine, Peer
from volant.client import connection, starting
from volant.client.client import Client
from volant.client.connection import connect
from volant.client.starting import EngineStart, ensure_engine, is_there, reach_engine
from volant.engine.ownership import HomeLock
from volant.kit.homes import HomeError, absolute_home, engine_lock_path, prepare_home, socket_path
from volant.model.control_protocol import ClientToEngine, Done, EngineStatus, GetStatus, Refused, StopEngine
from volant.model.errors import EngineError, EngineVersionError


def program(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """What is started instead of an engine; it gets the package's root and the home as arguments."""
    monkeypatch.setattr(starting, "_PROGRAM", text)


async def stop(client: Client) -> None:
    async with client.connection() as talk:
        await talk.ask(lambda number: StopEngine(request=number), Done)
        await talk.gone


async def test_an_engine_is_started_detached_and_answers(make_client: Callable[..., Client]) -> None:
    client = make_client()
    client.start_engine()
    async with client.connection() as talk:
        status = await talk.ask(lambda number: GetStatus(request=number), EngineStatus)
        assert status.pid == talk.welcome.pid != os.getpid()
        assert os.getsid(status.pid) == status.pid
        assert Path(status.home) == client.settings.home
    await stop(client)


async def test_many_clients_that_start_engines_at_once_find_one(make_client: Callable[..., Client]) -> None:
    clients = [make_client() for _ in range(6)]
    for client in clients:
        client.start_engine()
    talks = await asyncio.gather(*(client.connect() for client in clients))
    assert len({(talk.welcome.pid, talk.welcome.engine) for talk in talks}) == 1
    for talk in talks:
        await talk.close()
    await stop(clients[0])


async def test_an_engine_that_dies_while_it_starts_is_quoted(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(monkeypatch, "import sys; print('first words'); sys.exit('the disk is full')")
    with pytest.raises(EngineError, match=r"exit code 1 while it started:\nfirst words\nthe disk is full") as caught:
        await connect(ensure_engine(home, dict(os.environ)), timeout=30)
    assert caught.value.hint is not None


async def test_only_what_this_engine_wrote_is_quoted(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare_home(home)
    (home / "engine.log").write_text("what another engine wrote\n")
    program(monkeypatch, "raise SystemExit('mine')")
    with pytest.raises(EngineError, match="mine") as caught:
        await connect(ensure_engine(home, dict(os.environ)), timeout=30)
    assert "another" not in str(caught.value)


async def test_an_engine_that_never_listens_is_given_up(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(monkeypatch, "import time; print('thinking', flush=True); time.sleep(3)")
    start = ensure_engine(home, dict(os.environ))
    with pytest.raises(EngineError, match=r"did not listen within 0\.5 s"):
        await connect(start, timeout=0.5)


async def test_who_loses_the_lock_waits_for_the_winner(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(monkeypatch, "pass")
    start = ensure_engine(home, dict(os.environ))
    asking = asyncio.ensure_future(connect(start, timeout=30))
    while not start.has_ended():
        await asyncio.sleep(0.01)
    with FakeEngine(home, lambda _peer, _message: None, pid=77):
        talk = await asking
        assert talk.welcome.pid == 77
        await talk.close()


async def test_who_loses_the_lock_to_one_that_leaves_starts_again(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_RESTART_AFTER", 0.01)
    prepare_home(home)
    starts: list[FakeEngine] = []

    class Losing(EngineStart):
        def start_process(self) -> None:
            if len(starts) == 2:
                starts[0].__enter__()
            self.exit_code = 0
            starts.append(FakeEngine(home, lambda _peer, _message: None))

    start = Losing(home, {})
    start.begin()
    talk = await connect(start, timeout=30)
    assert len(starts) >= 3
    await talk.close()
    starts[0].stop()


async def test_asking_whether_an_engine_runs_starts_none(make_client: Callable[..., Client], home: Path) -> None:
    async with make_client().running_connection() as talk:
        assert talk is None
    assert not home.exists()


async def test_a_busy_engine_of_another_version_is_not_taken_for_none(
    make_client: Callable[..., Client], home: Path
) -> None:
    def refuse(peer: Peer, message: ClientToEngine) -> None:
        assert isinstance(message, StopEngine)
        peer.say(Refused(request=message.request, error="EngineError", message="it executes run 'r1'"))

    with FakeEngine(home, refuse, protocol=999), pytest.raises(EngineVersionError, match="it executes run 'r1'"):
        async with make_client().running_connection():
            pass


def test_an_interpreter_that_is_unknown_is_an_error(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starting.sys, "executable", "")
    with pytest.raises(EngineError, match="does not know its Python interpreter"):
        ensure_engine(home, {})


def test_a_home_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EngineError, match="cannot be made") as caught:
        ensure_engine(tmp_path / "file" / "home", {})
    assert caught.value.hint == "choose another with VOLANT_HOME"


def test_a_socket_that_nobody_serves_is_nobody(home: Path) -> None:
    prepare_home(home)
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(socket_path(home)))
    assert reach_engine(home) is None


def test_whoever_listens_has_to_be_this_user(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare_home(home)
    monkeypatch.setattr(starting, "peer_uid", lambda _connection: 12345)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(socket_path(home)))
        listener.listen()
        with pytest.raises(EngineError, match="belongs to user 12345"):
            reach_engine(home)


class TestHomes:
    def test_a_home_is_private(self, home: Path) -> None:
        home.mkdir(parents=True)
        home.chmod(0o755)
        prepare_home(home)
        assert stat.S_IMODE(home.stat().st_mode) == 0o700

    def test_a_short_home_holds_its_socket(self, home: Path) -> None:
        assert socket_path(home) == home / "engine.sock"

    def test_the_socket_of_a_long_home_is_short_private_and_its_own(self, tmp_path: Path) -> None:
        homes = [tmp_path / ("long" * 30) / name for name in ("a", "b")]
        paths = [socket_path(home) for home in homes]
        assert len(set(paths)) == 2
        for home, path in zip(homes, paths, strict=True):
            assert len(os.fsencode(path)) < 100
            prepare_home(home)
            assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
            assert socket_path(home) == path

    def test_spellings_of_one_home_are_one(self, tmp_path: Path) -> None:
        (tmp_path / "real").mkdir()
        (tmp_path / "link").symlink_to("real")
        spellings = [tmp_path / "real", tmp_path / "link", tmp_path / "x" / ".." / "real"]
        assert {absolute_home(spelling) for spelling in spellings} == {(tmp_path / "real").resolve()}

    def test_a_file_is_no_home(self, tmp_path: Path) -> None:
        (tmp_path / "home").write_text("")
        with pytest.raises(HomeError, match="is not a folder"):
            prepare_home(tmp_path / "home")

    def test_a_home_of_another_user_is_refused(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        prepare_home(home)
        monkeypatch.setattr("volant.kit.homes.os.getuid", lambda: 12345)
        with pytest.raises(HomeError, match="belongs to user"):
            prepare_home(home)


def test_a_folder_of_other_things_is_no_home_and_keeps_its_mode(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir(mode=0o755)
    project.chmod(0o755)
    (project / "pipeline.py").touch()
    with pytest.raises(EngineError, match=r"has other files in it \(pipeline.py, ...\).*\(mode 755\)") as caught:
        ensure_engine(project, {})
    assert caught.value.hint == "choose another with VOLANT_HOME"
    assert project.stat().st_mode & 0o777 == 0o755
    assert [path.name for path in project.iterdir()] == ["pipeline.py"]


def test_an_engine_is_there_until_it_lets_go_of_its_home(home: Path) -> None:
    home.mkdir(parents=True, exist_ok=True)
    assert not is_there(home, os.getpid())
    lock = HomeLock.acquire(engine_lock_path(home), started_at=datetime.now(UTC))
    assert lock is not None
    assert is_there(home, os.getpid())
    assert not is_there(home, os.getpid() + 1)
    lock.release()
    assert not is_there(home, os.getpid())
