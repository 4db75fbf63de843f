"""Starting the engine of a home, without waiting for it.

Whoever needs the engine calls `ensure_engine` as early as it can and connects later: the engine's start and the
import of the user's file go on side by side. Several clients may start engines at once; a lock in the home decides,
and an engine that lost exits with 0 and says nothing.
"""

import contextlib
import fcntl
import os
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from volant.kit.homes import HomeError, engine_lock_path, engine_log_path, prepare_home, socket_path
from volant.kit.peers import peer_uid
from volant.model.errors import EngineError

# `-c` and not `-m`: a volant that was found by a path of the program's own is found by the engine too. The root goes
# last, so that nothing in it can take the place of the standard library.
_PROGRAM = (
    "import os, sys; sys.path.append(sys.argv.pop(1)); os.chdir(sys.argv[1]); "
    "from runpy import run_module; run_module('volant.wiring.engine', run_name='__main__', alter_sys=True)"
)
_PACKAGE_ROOT = str(Path(__file__).resolve().parents[2])
_TAIL_BYTES = 4000

# These change what an interpreter does after or beside its program.
_NOT_FOR_THE_ENGINE = frozenset({"PYTHONINSPECT", "PYTHONSTARTUP", "PYTHONPROFILEIMPORTTIME", "PYTHONBREAKPOINT"})


class EngineStart:
    """An engine that listens, or one that was just started; made by `ensure_engine`."""

    def __init__(self, home: Path, environ: Mapping[str, str]) -> None:
        self.home = home
        self._environ = environ
        self._listening: socket.socket | None = None
        self._pid: int | None = None
        self._log_start = 0
        self.exit_code: int | None = None
        """How the started process ended; None while it runs, or when none was started."""

    def take_socket(self) -> socket.socket | None:
        """A connection to the engine, once: the one that showed that it listens, or a new one. None: not yet."""
        found, self._listening = self._listening, None
        return found or reach_engine(self.home)

    def close(self) -> None:
        """Let go of the connection that nobody took."""
        found, self._listening = self._listening, None
        if found is not None:
            found.close()

    def begin(self) -> None:
        """Reach the engine, or start one."""
        self._listening = reach_engine(self.home)
        if self._listening is None:
            self.start_process()

    def start_process(self) -> None:
        """Start an engine, detached from this process's session and signals."""
        if not sys.executable:
            msg = "the engine cannot be started: this program does not know its Python interpreter (sys.executable)"
            raise EngineError(msg)
        log = engine_log_path(self.home)
        self._log_start = self._open_log(log)
        arguments = [sys.executable, "-P", "-c", _PROGRAM, _PACKAGE_ROOT, str(self.home)]
        environ = {name: value for name, value in self._environ.items() if name not in _NOT_FOR_THE_ENGINE}
        append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        try:
            self._pid = os.posix_spawn(
                sys.executable,
                arguments,
                environ,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 1, str(log), append, 0o600),
                    (os.POSIX_SPAWN_DUP2, 1, 2),
                    *((os.POSIX_SPAWN_CLOSE, fd) for fd in _inherited_files()),
                ],
                setsid=True,
                setsigmask=[],
                setsigdef=[signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGCHLD],
            )
        except OSError as error:
            msg = f"the engine cannot be started with {sys.executable}: {error}"
            raise EngineError(msg) from error
        self.exit_code = None

    def _open_log(self, log: Path) -> int:
        """See that the log can be written, before a spawned process fails at it and the program is blamed; its size."""
        try:
            with log.open("ab") as opened:
                return opened.tell()
        except OSError as error:
            msg = f"the home {self.home} cannot be written: {error}"
            raise EngineError(msg, hint="choose another with VOLANT_HOME") from error

    def has_ended(self) -> bool:
        """Whether the process that was started is gone, or none was."""
        if self._pid is None:
            return True
        try:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
        except ChildProcessError:
            # Someone else in this process waits for all its children and took the status.
            pid, status = self._pid, 0
        if pid == 0:
            return False
        self._pid = None
        self.exit_code = os.waitstatus_to_exitcode(status)
        return True

    def read_log(self) -> str:
        """The last lines that the started process wrote."""
        try:
            with engine_log_path(self.home).open("rb") as log:
                end = log.seek(0, os.SEEK_END)
                log.seek(max(self._log_start, end - _TAIL_BYTES))
                return log.read().decode(errors="replace").strip()
        except OSError:
            return ""


def ensure_engine(home: Path, environ: Mapping[str, str]) -> EngineStart:
    """Make sure that an engine of *home* is there or on its way; returns at once.

    Raises:
        EngineError: the home cannot be made, or is not private, or the process cannot be started.
    """
    try:
        prepare_home(home)
    except HomeError as error:
        msg = f"the home {home} cannot be used: {error}"
        raise EngineError(msg, hint="choose another with VOLANT_HOME") from error
    except OSError as error:
        msg = f"the home {home} cannot be made: {error}"
        raise EngineError(msg, hint="choose another with VOLANT_HOME") from error
    start = EngineStart(home, environ)
    start.begin()
    return start


def is_there(home: Path, pid: int) -> bool:
    """Whether the engine with this process id still has the home, though it may listen no more."""
    try:
        with engine_lock_path(home).open("rb") as lock:
            try:
                # An engine that starts just now tries again.
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                # The owner writes who it is after it has the lock.
                return f'"pid": {pid},'.encode() in lock.read()
            return False
    except FileNotFoundError:
        return False


def reach_engine(home: Path) -> socket.socket | None:
    """A connection to the engine of *home*; None when nobody listens.

    Raises:
        EngineError: whoever listens is not this user.
    """
    path = socket_path(home)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(str(path))
        uid = peer_uid(connection)
    except (FileNotFoundError, ConnectionError):
        connection.close()
        return None
    except OSError as error:
        connection.close()
        msg = f"the engine at {path} cannot be reached: {error}"
        raise EngineError(msg) from error
    if uid not in {os.getuid(), 0}:
        connection.close()
        msg = f"the process that listens at {path} belongs to user {uid}, not to user {os.getuid()}"
        raise EngineError(msg)
    connection.setblocking(False)
    return connection


def _inherited_files() -> list[int]:
    """What this process got from whoever started it, such as a pipe of a shell's, which an engine would keep open."""
    try:
        numbers = [int(name) for name in os.listdir("/dev/fd")]
    except (OSError, ValueError):
        return []
    found: list[int] = []
    for number in numbers:
        # The listing's own file is closed by now.
        with contextlib.suppress(OSError):
            if number > 2 and os.get_inheritable(number):
                found.append(number)
    return found
