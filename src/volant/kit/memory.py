"""How much memory a process holds."""

import os
import resource
import sys
from pathlib import Path

from volant.kit.processes import descendants


def own_resident_memory() -> int:
    """Bytes of this process in memory now; where the system does not say, the most it ever had."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def tree_memory(pid: int) -> int | None:
    """Bytes that a process and all that descends from it hold for themselves, not counting what they share; None when
    the process is gone or may not be looked at."""
    own = private_memory(pid)
    if own is None:
        return None
    return own + sum(private_memory(child) or 0 for child in descendants(pid))


def private_memory(pid: int) -> int | None:
    """Bytes that one process holds for itself; None when it is gone or may not be looked at."""
    if sys.platform != "linux":
        return _psutil_memory(pid)
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as rollup:
            lines = rollup.readlines()
    except OSError:
        return None
    # A line is `Private_Dirty:      1234 kB`.
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_"))


def _psutil_memory(pid: int) -> int | None:
    import psutil

    try:
        process = psutil.Process(pid)
        return int(getattr(process.memory_full_info(), "uss", 0)) or int(process.memory_info().rss)
    except psutil.Error:
        return None
