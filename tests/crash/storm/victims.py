"""The processes of one home, found through its own files, and killing them."""

import contextlib
import json
import signal
import time
from collections.abc import Iterable
from pathlib import Path

import psutil

_ENGINE = "volant.wiring.engine"
_ZYGOTE = "volant.wiring.zygote"
_DYING = 10.0
_POLL = 0.002


class Victims:
    """Whatever works in a home. A process id counts only where the command line is that of what it is said to be."""

    def __init__(self, home: Path) -> None:
        self._home = home

    def engine(self) -> list[psutil.Process]:
        """The engine, if there is one: the lock's file says who it is."""
        try:
            pid = json.loads((self._home / "engine.lock").read_text())["pid"]
        except (OSError, ValueError, KeyError):
            return []
        return _checked([pid], _ENGINE, str(self._home))

    def zygotes(self) -> list[psutil.Process]:
        """Of the engine that lives, and of those before it: the lifelines say who they are."""
        pids: list[int] = []
        for path in (self._home / "lives").glob("*.lock"):
            with contextlib.suppress(OSError, ValueError):
                pids += [int(word) for word in path.read_text().split()]
        return _checked(pids, _ZYGOTE)

    def workers(self) -> list[psutil.Process]:
        """What zygotes forked."""
        found: list[psutil.Process] = []
        for zygote in self.zygotes():
            with contextlib.suppress(psutil.Error):
                found += zygote.children()
        return found

    def orphans(self) -> list[psutil.Process]:
        """Forks whose zygote is gone: they die with it, but one may be in the middle of a line."""
        found: list[psutil.Process] = []
        alive = {zygote.pid for zygote in self.zygotes()}
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                is_of_zygote = any(_ZYGOTE in argument for argument in process.cmdline())
                if is_of_zygote and alive.isdisjoint((process.pid, process.ppid())) and self._knows(process):
                    found.append(process)
        return found

    def _knows(self, process: psutil.Process) -> bool:
        return process.environ().get("VOLANT_HOME") == str(self._home)

    def everything(self) -> list[psutil.Process]:
        """All of them, who starts others first."""
        found = [*self.engine(), *self.zygotes()]
        for each in list(found):
            with contextlib.suppress(psutil.Error):
                found += each.children(recursive=True)
        return list(dict.fromkeys(found))

    def left(self) -> list[str]:
        """Every process of the machine that knows this home, found or not; only to look at."""
        found: list[str] = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if self._knows(process):
                    found.append(f"{process.pid} {' '.join(process.cmdline())[:100]}")
        return found


def kill(processes: Iterable[psutil.Process], *, number: int = signal.SIGKILL) -> int:
    """Send a signal to all that are there; how many took it. Those that were killed are gone when it returns."""
    killed: list[psutil.Process] = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)
            killed.append(process)
    if number == signal.SIGKILL:
        until_gone(killed)
    return len(killed)


def until_gone(processes: Iterable[psutil.Process]) -> None:
    """Return when none of them does anything any more, or some time has passed."""
    left = list(processes)
    until = time.monotonic() + _DYING
    while any(map(_lives, left)) and time.monotonic() < until:
        time.sleep(_POLL)


def _lives(process: psutil.Process) -> bool:
    # Who was killed and not waited for yet does nothing any more.
    with contextlib.suppress(psutil.Error):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False


def _checked(pids: Iterable[int], *words: str) -> list[psutil.Process]:
    found: list[psutil.Process] = []
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            line = " ".join(process.cmdline())
            if all(word in line for word in words):
                found.append(process)
    return found
