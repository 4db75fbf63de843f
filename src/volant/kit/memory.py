"""How much memory a process holds."""

import os
import resource
import sys
from pathlib import Path


def own_resident_memory() -> int:
    """Bytes of this process in memory now; where the system does not say, the most it ever had."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
