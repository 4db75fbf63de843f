"""Process trees: who descends from whom, ending all of them, and what CPU time they take.

A process that was orphaned has no parent that still knows it. Where an ancestor is a *subreaper* (Linux), orphans
become its children, so a tree stays a tree and can be found and ended whole, descendants in sessions of their own
included.

Linux is read from `/proc`; elsewhere psutil answers.
"""

import contextlib
import errno
import functools
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Mapping

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_PR_GET_CHILD_SUBREAPER = 37
_IS_LINUX = sys.platform == "linux"
_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


_SAMPLE_AGE = 0.01
"""Seconds for which a look at the processes of the machine serves further samples."""


@functools.cache
def _prctl() -> Callable[..., int] | None:
    if not _IS_LINUX:
        return None
    # Only who forks needs it, and it takes ten milliseconds to import.
    import ctypes

    try:
        return ctypes.CDLL(None).prctl
    except (OSError, AttributeError):
        return None


def become_subreaper() -> bool:
    """Let orphaned descendants of this process become its children. False where the platform cannot.

    A fork does not inherit it.
    """
    prctl = _prctl()
    return prctl is not None and prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0


def die_with_parent(parent: int) -> bool:
    """Let the kernel kill this process when the process *parent*, which started it, ends, or did. False where the
    platform cannot.

    A fork does not inherit it.
    """
    prctl = _prctl()
    if prctl is None or prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        return False
    if os.getppid() != parent:
        # It had ended before: the kernel says nothing of that.
        os.kill(os.getpid(), signal.SIGKILL)
    return True


def can_be_subreaper() -> bool:
    """Whether the platform has subreapers; this process stays what it is."""
    prctl = _prctl()
    if prctl is None:
        return False
    import ctypes

    return prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(ctypes.c_int()), 0, 0, 0) == 0


def has_children() -> bool:
    """Whether this process has any child, dead ones that nobody waited for included. One system call on Linux."""
    if not hasattr(os, "waitid"):
        return bool(children(os.getpid()))
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def children(pid: int) -> list[int]:
    """The children of a process now, dead ones that nobody waited for included."""
    if not _IS_LINUX:
        return _psutil_descendants(pid, recursive=False)
    return [child for child, parent in _parents().items() if parent == pid]


def descendants(pid: int) -> list[int]:
    """Children, their children and so on, ancestors before descendants."""
    if not _IS_LINUX:
        return _psutil_descendants(pid, recursive=True)
    return _below([pid], _offspring(_parents()))


def signal_trees(roots: Iterable[int], number: int = signal.SIGKILL) -> int:
    """Send a signal to processes and to all that descend from them now; how many took it.

    What is forked meanwhile may be missed: call it again until nothing is left.
    """
    roots = list(roots)
    if not roots:
        return 0
    if _IS_LINUX:
        found = _below(roots, _offspring(_parents()))
    else:
        found = [child for root in roots for child in _psutil_descendants(root, recursive=True)]
    # Ancestors first: who is dead cannot start another.
    return sum(_send(pid, number) for pid in (*roots, *found))


def kill_tree(pid: int) -> int:
    """Kill a process and all its descendants; how many there were. Returns at once: waiting is the parent's part."""
    return signal_trees([pid], signal.SIGKILL)


def session_of(pid: int) -> int | None:
    """The session of a process; None when it is gone."""
    try:
        return os.getsid(pid)
    except OSError:
        return None


def is_stopped(pid: int) -> bool:
    """Whether a signal stopped the process and none let it go on. One whose state cannot be read is not."""
    if not _IS_LINUX:
        return _psutil_is_stopped(pid)
    fields = _stat(f"/proc/{pid}/stat")
    return fields is not None and fields[:1] == [b"T"]


def cpu_time_and_state(pid: int) -> tuple[float, bool]:
    """CPU seconds that the processes of a tree have used, and whether one of them wants the CPU now.

    Time of descendants that ended counts once their parent waited for them; one that leaves the tree may make
    the sum shrink. A process that is gone: `(0.0, False)`.
    """
    return _table.cpu(pid) if _IS_LINUX else _psutil_cpu(pid)


class _ProcessTable:
    """Who is whose parent, kept between samples: a sample reads only processes that it has not seen before."""

    def __init__(self) -> None:
        self._parents: dict[int, int] = {}
        self._offspring: Mapping[int, list[int]] = {}
        self._read_at = -1.0

    def cpu(self, root: int) -> tuple[float, bool]:
        now = time.monotonic()
        if now - self._read_at > _SAMPLE_AGE:
            self._refresh()
            self._read_at = now
        found = _ticks_and_state(root)
        if found is None:
            return 0.0, False
        total, runnable = found
        for pid in _below([root], self._offspring):
            ticks, wants = _ticks_and_state(pid) or (0, False)
            total += ticks
            runnable = runnable or wants
        return total / _TICKS, runnable

    def _refresh(self) -> None:
        known = self._parents
        alive = set(_pids())
        gone = known.keys() - alive
        if gone:
            # An orphan has a new parent; only those are read again.
            for pid in [pid for pid, parent in known.items() if pid in gone or parent in gone]:
                del known[pid]
        for pid in alive - known.keys():
            parent = _parent(pid)
            if parent is not None:
                known[pid] = parent
        self._offspring = _offspring(known)


_table = _ProcessTable()


def _offspring(parents: Mapping[int, int]) -> Mapping[int, list[int]]:
    found: dict[int, list[int]] = {}
    for pid, parent in parents.items():
        found.setdefault(parent, []).append(pid)
    return found


def _below(roots: Iterable[int], offspring: Mapping[int, list[int]]) -> list[int]:
    """The descendants of *roots*, nearest first, without the roots."""
    seen = set(roots)
    found: list[int] = []
    layer = list(seen)
    while layer:
        layer = [child for pid in layer for child in offspring.get(pid, ()) if child not in seen]
        seen.update(layer)
        found += layer
    return found


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


def _parents() -> dict[int, int]:
    """Every process of the machine and its parent."""
    found: dict[int, int] = {}
    for pid in _pids():
        parent = _parent(pid)
        if parent is not None:
            found[pid] = parent
    return found


def _stat(path: str) -> list[bytes] | None:
    """The fields of a `stat` file from the state on; None when the process is gone."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        content = os.read(fd, 1024)
    except OSError:
        return None
    finally:
        os.close(fd)
    # The name in parentheses may itself hold spaces and parentheses.
    return content[content.rfind(b")") + 2 :].split()


def _parent(pid: int) -> int | None:
    fields = _stat(f"/proc/{pid}/stat")
    return int(fields[1]) if fields and len(fields) > 1 else None


def _ticks_and_state(pid: int) -> tuple[int, bool] | None:
    fields = _stat(f"/proc/{pid}/stat")
    if not fields or len(fields) < 18:
        return None
    # utime, stime, and those of children that were waited for.
    ticks = int(fields[11]) + int(fields[12]) + int(fields[13]) + int(fields[14])
    if fields[0] == b"R":
        return ticks, True
    threads = int(fields[17])
    return ticks, threads > 1 and _has_runnable_thread(pid)


def _has_runnable_thread(pid: int) -> bool:
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return False
    for thread in threads:
        fields = _stat(f"/proc/{pid}/task/{thread}/stat")
        if fields and fields[0] == b"R":
            return True
    return False


def _send(pid: int, number: int) -> bool:
    try:
        os.kill(pid, number)
    except OSError as exc:
        if exc.errno in (errno.ESRCH, errno.EPERM):
            return False
        raise
    return True


def _psutil_descendants(pid: int, *, recursive: bool) -> list[int]:
    import psutil

    with contextlib.suppress(psutil.Error):
        return [child.pid for child in psutil.Process(pid).children(recursive=recursive)]
    return []


def _psutil_is_stopped(pid: int) -> bool:
    import psutil

    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid).status() == psutil.STATUS_STOPPED
    return False


def _psutil_cpu(root: int) -> tuple[float, bool]:
    import psutil

    seconds = 0.0
    runnable = False
    for pid in (root, *_psutil_descendants(root, recursive=True)):
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            with process.oneshot():
                times = process.cpu_times()
                seconds += times.user + times.system + times.children_user + times.children_system
                runnable = runnable or process.status() == psutil.STATUS_RUNNING
    return seconds, runnable
