"""Processes of attempts that have neither a guardian nor a place in any tree that is known.

When a zygote is killed whose engine had died before, the kernel ends its workers, and what those had started becomes
nobody's. Such a process is known by the variable that names its attempt, which whatever a worker starts inherits, or by
the lifeline that every plain fork keeps open. Linux only; elsewhere none is found.
"""

import asyncio
import os
import sys
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from volant.kit.processes import children, descendants, signal_trees

_VARIABLE = b"VOLANT_ATTEMPT="
_PAUSE = 0.005
_LONGEST_PAUSE = 0.1
_PATIENCE = 10.0
"""Seconds after which a process that does not die (it is in the kernel's hands) is no longer waited for."""


def strays(*, labels: Collection[str], lifelines: Collection[Path], spared: Iterable[int]) -> list[int]:
    """Processes that carry one of *labels* (up to the number of its process), or hold one of *lifelines*.

    The trees of *spared* and of this process are left out.
    """
    if sys.platform != "linux" or not (labels or lifelines):
        return []
    known = {os.getpid(), *descendants(os.getpid())}
    for root in spared:
        known |= {root, *descendants(root)}
    marks = tuple(_VARIABLE + label.encode() for label in labels)
    paths = {str(path) for path in lifelines}
    found = [int(name) for name in os.listdir("/proc") if name.isdecimal() and int(name) not in known]
    return [pid for pid in found if _carries(pid, marks) or _holds(pid, paths)]


async def end_strays(*, labels: Collection[str], lifelines: Collection[Path], spared: Sequence[int]) -> bool:
    """Kill them and wait until none is left; whether that came true."""
    loop = asyncio.get_running_loop()
    until = loop.time() + _PATIENCE
    pause = _PAUSE
    while left := strays(labels=labels, lifelines=lifelines, spared=spared):
        if loop.time() > until:
            return False
        signal_trees(left)
        await asyncio.sleep(pause)
        pause = min(_LONGEST_PAUSE, pause * 2)
        for pid in set(left).intersection(children(os.getpid())):
            _wait_for(pid)
    return True


def _wait_for(pid: int) -> None:
    os.waitpid(pid, os.WNOHANG)


def _carries(pid: int, marks: tuple[bytes, ...]) -> bool:
    if not marks:
        return False
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return any(entry.startswith(marks) for entry in file.read().split(b"\0"))
    except OSError:
        return False


def _holds(pid: int, paths: set[str]) -> bool:
    if not paths:
        return False
    try:
        for name in os.listdir(f"/proc/{pid}/fd"):
            try:
                if os.readlink(f"/proc/{pid}/fd/{name}") in paths:
                    return True
            except OSError:
                continue
    except OSError:
        return False
    return False
