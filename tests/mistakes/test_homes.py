"""Homes that cannot be used: what a person at a terminal is told, in a process of its own."""

import contextlib
import os
import re
import resource
import socket
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from tests.client.fake_engine import FakeEngine, Peer
from tests.mistakes.catalogue import Mistake, mistakes
from volant.engine.ownership import HomeLock
from volant.journal.sqlite.opening import MIGRATIONS
from volant.kit.homes import engine_lock_path, journal_path, prepare_home, socket_path
from volant.kit.version import VERSION
from volant.model.control_protocol import CONTROL_PROTOCOL_VERSION, ClientToEngine, Refused, StopEngine

HELLO = """\
import volant
env = volant.TaskEnvironment("hello")
@env.task
async def main() -> None: ...
"""
NOBODY = 65534


class Person:
    """Somebody with a home, who types one command."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "disk" / "home"
        self.home.parent.mkdir()
        (folder / "hello.py").write_text(HELLO)
        self.before: list[str] = []
        """What a shell of the command's own does first, in a mount namespace of its own."""
        self.limit: int | None = None
        """Of bytes in a file."""

    def types(self, line: str) -> "subprocess.CompletedProcess[str]":
        words = line.removeprefix("$ ").split()
        variables = dict(words.pop(0).split("=") for word in words[:] if "=" in word)
        command = [sys.executable, "-m", *words]
        if self.before:
            script = " && ".join([*self.before, 'exec "$@"'])
            command = ["unshare", "-m", "sh", "-c", script, "sh", *command]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("VOLANT_")}
        return subprocess.run(
            command,
            env={**kept, "VOLANT_HOME": str(self.home), "COLUMNS": "120", **variables},
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=15,
            stdin=subprocess.DEVNULL,
            check=False,
            preexec_fn=self._limit_files if self.limit is not None else None,
        )

    def _limit_files(self) -> None:
        assert self.limit is not None
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.limit, self.limit))

    def mounts(self, options: str, *then: str) -> None:
        """Permission bits do not bind root; a file system that is mounted so does."""
        disk = self.home.parent
        can = os.getuid() == 0 and subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False)
        if not can or can.returncode:
            pytest.skip(f"only root may mount a file system with {options!r}")
        self.before = [f"mount -t tmpfs -o {options} tmpfs {disk}", *then]


Trouble = Callable[[Person], contextlib.AbstractContextManager[None]]
TROUBLES: dict[str, Trouble] = {}


def trouble(prepare: Callable[[Person], Iterator[None]]) -> Trouble:
    """What can be wrong with a home, by the name that the catalogue uses."""
    made = TROUBLES[prepare.__name__] = contextlib.contextmanager(prepare)
    return made


@trouble
def in_a_read_only_folder(person: Person) -> Iterator[None]:
    if os.getuid() == 0:
        person.mounts("ro")
    person.home.parent.chmod(0o555)
    yield
    person.home.parent.chmod(0o755)


@trouble
def read_only(person: Person) -> Iterator[None]:
    if os.getuid() == 0:
        person.mounts("rw", f"mkdir -m 700 {person.home}", f"mount -o remount,ro {person.home.parent}")
        yield
        return
    person.home.mkdir(mode=0o700)
    (person.home / "engine.log").touch(mode=0o400)
    yield


@trouble
def on_a_full_disk(person: Person) -> Iterator[None]:
    person.mounts("size=64k")
    yield


@trouble
def on_a_disk_of_one_page(person: Person) -> Iterator[None]:
    person.mounts("size=4k")
    yield


@trouble
def with_small_files(person: Person) -> Iterator[None]:
    person.limit = 8192
    yield


@trouble
def a_file(person: Person) -> Iterator[None]:
    person.home.write_text("")
    yield


@trouble
def of_another_user(person: Person) -> Iterator[None]:
    if os.getuid() != 0:
        pytest.skip("only root may give a folder to another user")
    person.home.mkdir(mode=0o700)
    os.chown(person.home, NOBODY, NOBODY)
    yield


@trouble
def with_the_database_of_another_program(person: Person) -> Iterator[None]:
    prepare_home(person.home)
    with contextlib.closing(sqlite3.connect(journal_path(person.home))) as database:
        database.execute("CREATE TABLE songs (title)")
    yield


@trouble
def with_the_journal_of_a_newer_release(person: Person) -> Iterator[None]:
    prepare_home(person.home)
    with contextlib.closing(sqlite3.connect(journal_path(person.home))) as database, database:
        database.execute("CREATE TABLE schema_version (version INTEGER)")
        database.execute("INSERT INTO schema_version VALUES (99)")
    yield


@trouble
def with_a_damaged_journal(person: Person) -> Iterator[None]:
    prepare_home(person.home)
    journal_path(person.home).write_bytes(b"not a database" * 1000)
    yield


@trouble
def with_a_folder_for_settings(person: Person) -> Iterator[None]:
    (person.home / "config.toml").mkdir(parents=True)
    yield


@trouble
def with_a_busy_engine_of_another_version(person: Person) -> Iterator[None]:
    def handle(peer: Peer, message: ClientToEngine) -> None:
        if isinstance(message, StopEngine):
            peer.say(Refused(request=message.request, error="EngineError", message="the engine executes 1 run(s): r1"))

    prepare_home(person.home)
    lock = HomeLock.acquire(engine_lock_path(person.home), started_at=datetime.now(UTC))
    assert lock is not None
    with FakeEngine(person.home, handle, protocol=99):
        yield
    lock.release()


@trouble
def with_a_silent_engine(person: Person) -> Iterator[None]:
    prepare_home(person.home)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(socket_path(person.home)))
        listening.listen()
        yield


@pytest.fixture
def person() -> Iterator[Person]:
    # Sockets lie in homes, so their paths are short.
    with tempfile.TemporaryDirectory(prefix="vh") as folder:
        yield Person(Path(folder).resolve())


def anonymous(person: Person, text: str) -> str:
    for path, name in ((person.home, "HOME"), (person.folder, "FOLDER")):
        text = text.replace(str(path), name)
    text = text.replace(f"{VERSION} (protocol {CONTROL_PROTOCOL_VERSION})", "OURS")
    text = text.replace(f"up to {len(MIGRATIONS)} ", "up to OURS ")
    return re.sub(r"[0-9-]{10} [0-9:,]{12}", "TIME", text)


@pytest.mark.parametrize("mistake", mistakes("homes"))
def test_a_home_that_cannot_be_used_is_said_in_words(person: Person, mistake: Mistake) -> None:
    name, line = mistake.written.splitlines()
    with TROUBLES[name](person):
        done = person.types(line)
    mistake.check(f"exit {done.returncode}\n{anonymous(person, done.stderr)}")
    assert done.stdout == ""
    assert "\nhint: " in done.stderr
    assert "Traceback" not in done.stderr
    _end_engine(person)
    assert runs_in(person.home) == 0


def runs_in(home: Path) -> int:
    """How many runs the journal has, if it is one."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{journal_path(home)}?mode=ro", uri=True)) as database:
            return int(database.execute("SELECT count(*) FROM runs").fetchone()[0])
    except sqlite3.Error:
        return 0


def _end_engine(person: Person) -> None:
    """None was started that goes on; where one does, it ends with the test that this fails."""
    left = [each for each in psutil.process_iter() if str(person.home) in _arguments(each)]
    for each in left:
        each.kill()
    assert left == []


def _arguments(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
