"""Who answers for the processes that a zygote started: nothing of an ended attempt stays alive.

A worker leads its own session and is a subreaper, so whatever it starts and orphans hangs below it while it lives.
When it ends, all that is left of its tree becomes the zygote's. Therefore every child of the zygote that is not a
known worker is left over from an attempt that ended, and is killed with its whole tree; only when none is left is
the attempt reported as gone.

Looking through the machine's processes costs about a millisecond, which is as much as a fork. A worker that leaves in
order looks itself, with one system call, whether it has any child, and says so in a byte of memory that it shares with
the zygote; only for the others the zygote has to look.
"""

import contextlib
import mmap
import os
import signal
import sys
from collections.abc import Iterable

from volant.kit.processes import children, session_of, signal_trees
from volant.model.ids import AttemptKey
from volant.model.worker_protocol import WorkerExited

_SLOTS = 1 << 14
"""Workers of one zygote that can be alive at once."""
_LEFT_CLEAN = 1
_LOOK_AGAIN = 0.5
"""Seconds between two looks for what is left over, beside those at the end of every child."""


class CleanExit:
    """A worker's place to say that it leaves no process behind."""

    __slots__ = ("_memory", "_slot")

    def __init__(self, memory: mmap.mmap, slot: int) -> None:
        self._memory = memory
        self._slot = slot

    def promise(self) -> None:
        """Say it. To be called last, by a process that has no children and no threads of the user's."""
        self._memory[self._slot] = _LEFT_CLEAN


class _Worker:
    __slots__ = ("key", "kill_at", "pid", "slot")

    def __init__(self, key: AttemptKey, pid: int, slot: int) -> None:
        self.key = key
        self.pid = pid
        self.slot = slot
        self.kill_at: float | None = None
        """When SIGKILL follows; None while nobody asked for its end."""


class _Leftover:
    """A process that outlived its attempt."""

    __slots__ = ("kill_at", "owners")

    def __init__(self, owners: set[AttemptKey], kill_at: float) -> None:
        self.owners = owners
        self.kill_at = kill_at


class Guardian:
    """Knows the zygote's workers, ends their trees, and says when one is gone. Never blocks.

    Instants are numbers of seconds on one monotonic clock, handed in.
    """

    def __init__(self, *, tolerated: Iterable[int] = ()) -> None:
        """*tolerated*: children that the user's modules started while they were imported; they stay."""
        self._tolerated = frozenset(tolerated)
        self._live: dict[int, _Worker] = {}
        self._by_key: dict[AttemptKey, _Worker] = {}
        self._ended: dict[AttemptKey, WorkerExited] = {}
        self._leftovers: dict[int, _Leftover] = {}
        self._memory = mmap.mmap(-1, _SLOTS)
        self._slots = list(range(_SLOTS))

    @property
    def is_idle(self) -> bool:
        """Whether no process of any attempt is left."""
        return not self._live and not self._ended and not self._leftovers

    def reserve(self) -> tuple[int, CleanExit]:
        """A slot for the next worker, and what the worker needs of it."""
        slot = self._slots.pop()
        self._memory[slot] = 0
        return slot, CleanExit(self._memory, slot)

    def release(self, slot: int) -> None:
        """Take back a slot for which there was no worker after all."""
        self._slots.append(slot)

    def add(self, key: AttemptKey, pid: int, slot: int) -> None:
        """A worker was forked."""
        self._live[pid] = self._by_key[key] = _Worker(key, pid, slot)

    def end(self, key: AttemptKey, *, grace: float, now: float) -> None:
        """End an attempt: SIGTERM to its process group, SIGKILL to its whole tree after *grace* seconds.

        Said again with less grace it shortens what is left.
        """
        kill_at = now + max(grace, 0.0)
        worker = self._by_key.get(key)
        if worker is None:
            for leftover in self._leftovers.values():
                if key in leftover.owners:
                    leftover.kill_at = min(leftover.kill_at, kill_at)
        elif worker.kill_at is None:
            worker.kill_at = kill_at
            if grace > 0:
                _terminate(worker.pid)
        else:
            worker.kill_at = min(worker.kill_at, kill_at)
        self.kill_due(now)

    def end_all(self, *, now: float) -> None:
        """Kill everything at once."""
        for key in list(self._by_key):
            self.end(key, grace=0, now=now)
        for leftover in self._leftovers.values():
            leftover.kill_at = now
        self.kill_due(now)

    def seconds_until_next_kill(self, now: float) -> float | None:
        """When `kill_due` has something to do; None: not before something happens."""
        due = [worker.kill_at for worker in self._live.values() if worker.kill_at is not None]
        due += [leftover.kill_at for leftover in self._leftovers.values()]
        due = [instant for instant in due if instant < _KILLED]
        if self._ended:
            # What was killed is gone soon, and what has its grace may go before it is over.
            due.append(now + _LOOK_AGAIN)
        return max(0.0, min(due) - now) if due else None

    def kill_due(self, now: float) -> None:
        """SIGKILL what has had its grace."""
        roots: list[int] = []
        for worker in self._live.values():
            if worker.kill_at is not None and worker.kill_at <= now:
                worker.kill_at = _KILLED
                roots.append(worker.pid)
        for pid, leftover in self._leftovers.items():
            if leftover.kill_at <= now:
                leftover.kill_at = _KILLED
                roots.append(pid)
        signal_trees(roots, signal.SIGKILL)

    def reap(self, now: float) -> list[WorkerExited]:
        """Wait for every child that has ended; the attempts that are gone with all their processes."""
        looking = bool(self._ended)
        owners: set[AttemptKey] = set()
        deadlines: dict[int, float] = {}
        has_children = True
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                has_children = False
                break
            if pid == 0:
                break
            worker = self._live.pop(pid, None)
            if worker is None:
                left = self._leftovers.pop(pid, None)
                if left is not None:
                    owners |= left.owners
                    looking = True
                continue
            del self._by_key[worker.key]
            self._slots.append(worker.slot)
            self._ended[worker.key] = _exited(worker.key, status, usage.ru_utime + usage.ru_stime, usage.ru_maxrss)
            if self._memory[worker.slot] != _LEFT_CLEAN:
                owners.add(worker.key)
                deadlines[pid] = worker.kill_at or now
                looking = True
        if not has_children:
            self._leftovers.clear()
        elif looking:
            self._look_for_leftovers(owners, deadlines, now)
        return self._gone()

    def _look_for_leftovers(self, owners: set[AttemptKey], deadlines: dict[int, float], now: float) -> None:
        found = set(children(os.getpid())) - self._live.keys() - self._tolerated
        for pid in self._leftovers.keys() - found:
            del self._leftovers[pid]
        for pid in found - self._leftovers.keys():
            # What still is in the session of a worker that was asked to end got SIGTERM with it, and has its grace.
            kill_at = deadlines.get(session_of(pid) or 0, now)
            self._leftovers[pid] = _Leftover(set(owners) or set(self._ended), now if kill_at == _KILLED else kill_at)
        self.kill_due(now)

    def _gone(self) -> list[WorkerExited]:
        if not self._ended:
            return []
        held = {key for leftover in self._leftovers.values() for key in leftover.owners}
        gone = [ended for key, ended in self._ended.items() if key not in held]
        for ended in gone:
            del self._ended[ended.attempt_key]
        return gone


_KILLED = float("inf")
"""In place of an instant: SIGKILL was sent."""


def _terminate(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGTERM)
        # One that is stopped hears it only when it goes on.
        os.killpg(pid, signal.SIGCONT)
    except ProcessLookupError:
        # Forked so recently that it does not lead its own group yet.
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
            os.kill(pid, signal.SIGCONT)


def _exited(key: AttemptKey, status: int, cpu_seconds: float, max_rss: int) -> WorkerExited:
    code = os.waitstatus_to_exitcode(status)
    return WorkerExited(
        attempt_key=key,
        exit_code=code if code >= 0 else None,
        signal=-code if code < 0 else None,
        cpu_seconds=cpu_seconds,
        peak_memory=max_rss if sys.platform == "darwin" else max_rss * 1024,
    )
