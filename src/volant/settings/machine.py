"""How much of this machine the process may use: affinity and control groups counted."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")


def usable_cpu() -> int:
    """Thousandths of a core."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    usable = cores * 1000
    for folder in _own_cgroups("cpu"):
        quota, period = _read_quota(folder)
        if quota is not None and period:
            usable = min(usable, max(1, quota * 1000 // period))
    return usable


def usable_memory() -> int:
    """Bytes."""
    usable = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for folder in _own_cgroups("memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            limit = _read_number(folder / name)
            if limit is not None:
                usable = min(usable, limit)
    return usable


def visible_gpus(environ: Mapping[str, str]) -> int:
    """How many NVIDIA devices there are, at most those that `CUDA_VISIBLE_DEVICES` names."""
    devices = sum(1 for _ in Path("/dev").glob("nvidia[0-9]*"))
    named = environ.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return devices
    return min(devices, sum(1 for name in named.split(",") if name.strip() and name.strip() != "-1"))


def _own_cgroups(controller: str) -> Iterator[Path]:
    """The folders whose limits bind this process: its own group and all above it."""
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return
    for line in lines:
        _number, controllers, path = line.split(":", 2)
        if controllers == "":
            root = _CGROUPS
        elif controller in controllers.split(","):
            root = _CGROUPS / controllers
        else:
            continue
        folder = root / path.lstrip("/")
        # Inside a container the path is often that of the host, which is not mounted: its parents then miss too.
        yield folder
        for parent in folder.parents:
            if parent != root and root not in parent.parents:
                break
            yield parent


def _read_quota(folder: Path) -> tuple[int | None, int | None]:
    try:
        quota, period = (folder / "cpu.max").read_text(encoding="ascii").split()
    except (OSError, ValueError):
        found = _read_number(folder / "cpu.cfs_quota_us")
        return (found if found is not None and found > 0 else None), _read_number(folder / "cpu.cfs_period_us")
    return (int(quota) if quota.isdecimal() else None), int(period)


def _read_number(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
