"""Where a process of Volant acts on the world, found while it runs, and dying there.

All that Python code does to the world it does by calling a function that is written in C. `sys.setprofile` sees each
such call before and after. A point is a function that acts (sends, writes, renames, spawns, commits, ...), the line of
Volant's that led to it, and a side: before or after. Nothing of Volant's is listed: what is added to it is found by
itself. What is listed is what does *not* act, so that a function nobody has thought of is a point.

Audit events serve as a second witness: one that tells of an act while no such call is under way is an act that was
not found, and is recorded as such.
"""

import io
import os
import signal
import sqlite3
import sys
import threading
from pathlib import Path
from socket import socket
from types import FrameType
from typing import Any

import volant

PACKAGE = str(Path(volant.__file__).parent)
BEFORE, AFTER = "before", "after"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Of the functions and methods of these, all but those that only look, or change nothing but this process.
_HARMLESS_CALLS = _words(
    """
    abort access chdir close closerange confstr cpu_count ctermid device_encoding dup dup2 eventfd
    eventfd_read fchdir fpathconf fspath fstat fstatvfs get_blocking get_inheritable get_terminal_size getcwd getcwdb
    getegid geteuid getgid getgrouplist getgroups getloadavg getlogin getpgid getpgrp getpid getppid getpriority
    getrandom getresgid getresuid getsid getuid getxattr isatty listdir listxattr lseek lstat major makedev minor
    nice open openpty pathconf pidfd_open pipe pipe2 pread preadv putenv read readlink readv register_at_fork scandir
    sched_getaffinity sched_get_priority_max sched_get_priority_min sched_yield set_blocking set_inheritable setpriority
    setsid stat statvfs strerror sysconf times ttyname umask uname unsetenv urandom wait wait3 wait4 waitid waitpid
    waitstatus_to_exitcode _exit _path_normpath _path_splitroot _path_isdir _path_isfile _path_exists _path_islink
    """
)
_HARMLESS_METHODS: dict[type, frozenset[str]] = {
    socket: _words(
        """
        accept _accept close detach dup fileno getblocking getpeername getsockname getsockopt gettimeout recv recv_into
        recvfrom recvfrom_into recvmsg recvmsg_into setblocking setsockopt settimeout
        """
    ),
    sqlite3.Connection: _words(
        "cursor set_progress_handler set_trace_callback set_authorizer create_function interrupt close"
    ),
    sqlite3.Cursor: _words("close fetchall fetchmany fetchone setinputsizes setoutputsize"),
    io.IOBase: _words(
        """
        close detach fileno isatty read read1 readable readall readinto readinto1 readline readlines seek seekable tell
        writable peek __enter__ __exit__ __iter__ __next__ _dealloc_warn _checkClosed _checkReadable _checkWritable
        """
    ),
}
_HARMLESS_CALLS_OF_OTHERS = frozenset({"complete_statement", "open", "open_code", "text_encoding"})
_EVENTS = _words(
    """
    os.chmod os.chown os.exec os.fork os.forkpty os.kill os.killpg os.link os.mkdir os.posix_spawn os.remove os.rename
    os.rmdir os.symlink os.truncate os.utime socket.bind socket.connect socket.sendmsg socket.sendto
    """
)
"""Audit events of acts."""
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Points:
    """The points of this process and of its forks."""

    def __init__(self, role: str, *, record: str, once: str, die_at: str | None, times: int) -> None:
        """*record*: a file that gets the name of each point that is passed, a line each. The process that passes
        *die_at* for the *times*-th time is killed there, unless the file *once* exists."""
        self._role = role
        self._pid = os.getpid()
        self._record = os.open(record, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._die_at = die_at
        self._once = once
        self._times = times
        self._passed: set[str] = set()
        self._local = threading.local()

    def install(self) -> None:
        """Watch this thread and all that are started later."""
        sys.addaudithook(self._audited)
        threading.setprofile(self._profiled)
        sys.setprofile(self._profiled)

    def _profiled(self, frame: FrameType, event: str, function: Any) -> None:
        try:
            self._see(frame, event, function)
        except Exception as error:  # noqa: BLE001  # raised from here, it would end the watching without a word
            self._note(f"unseen {self._role} {error!r}")

    def _see(self, frame: FrameType, event: str, function: Any) -> None:
        if event == "c_call":
            if _acts(function):
                self._local.acting = getattr(self._local, "acting", 0) + 1
                self._pass(frame, function.__name__, BEFORE)
        elif event in ("c_return", "c_exception"):
            if _acts(function):
                self._local.acting = max(0, getattr(self._local, "acting", 0) - 1)
                self._pass(frame, function.__name__, AFTER)
            elif getattr(self._local, "opens", False):
                self._local.opens = False
                self._pass(frame, "open", AFTER)

    def _audited(self, event: str, arguments: tuple[Any, ...]) -> None:
        if getattr(self._local, "is_ours", False):
            return
        if event == "open":
            flags = arguments[2]
            if isinstance(flags, int) and flags & _WRITES:
                self._local.opens = True
                self._pass(sys._getframe(1), "open", BEFORE)
        elif event in _EVENTS and not getattr(self._local, "acting", 0):
            self._note(f"unseen {self._role} {event}")

    def _pass(self, frame: FrameType, name: str, side: str) -> None:
        site = _site(frame)
        if site is None:
            return
        if os.getpid() != self._pid:
            # A fork of the zygote.
            self._pid = os.getpid()
            self._role = "worker"
            self._passed = set()
        point = f"{self._role} {side} {name} {site}"
        if point == self._die_at:
            self._times -= 1
            if self._times == 0 and self._is_first():
                os.kill(os.getpid(), signal.SIGKILL)
        if point not in self._passed:
            self._passed.add(point)
            self._note(point)

    def _is_first(self) -> bool:
        self._local.is_ours = True
        try:
            os.close(os.open(self._once, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            return False
        finally:
            self._local.is_ours = False
        return True

    def _note(self, line: str) -> None:
        os.write(self._record, f"{line}\n".encode())


def _acts(function: Any) -> bool:
    owner = function.__self__
    module = getattr(function, "__module__", None)
    if module == "posix":
        return function.__name__ not in _HARMLESS_CALLS and not function.__name__.startswith("W")
    if module in ("_posixsubprocess", "_sqlite3", "_socket", "_io"):
        return function.__name__ not in _HARMLESS_CALLS_OF_OTHERS and module != "_socket"
    if isinstance(owner, io.StringIO | io.BytesIO) or owner is sys.stderr or owner is sys.stdout:
        # What is logged is nobody's state.
        return False
    for kind, harmless in _HARMLESS_METHODS.items():
        if isinstance(owner, kind):
            return function.__name__ not in harmless
    return False


def _site(frame: FrameType | None) -> str | None:
    """The line of Volant's that led here; None when nothing of it did, or it is code of the user's."""
    while frame is not None:
        path = frame.f_code.co_filename
        if path.startswith(PACKAGE):
            return f"{path[len(PACKAGE) + 1 :]}:{frame.f_lineno} {frame.f_code.co_name}"
        if path.endswith("scenario.py") or "importlib" in path:
            return None
        frame = frame.f_back
    return None
