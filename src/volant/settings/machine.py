"""How much of this machine the process may use: affinity and control groups counted."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")


def usable_cpu() -> int:
    """Thousandths of a core."""
    usable = allowed_cores() * 1000
    quota = cpu_quota()
    return usable if quota is None else min(usable, max(1, quota))


def usable_memory() -> int:
    """Bytes."""
    limit = memory_limit()
    return physical_memory() if limit is None else min(physical_memory(), limit)


def allowed_cores() -> int:
    """How many cores the process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_quota() -> int | None:
    """The thousandths of a core that control groups allow; None without such a limit."""
    found = [_read_quota(folder) for folder in own_cgroups("cpu")]
    return min((quota * 1000 // period for quota, period in found if quota is not None and period), default=None)


def physical_memory() -> int:
    """Bytes of the machine."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def memory_limit() -> int | None:
    """The bytes that control groups allow; None without such a limit."""
    files = (folder / name for folder in own_cgroups("memory") for name in ("memory.max", "memory.limit_in_bytes"))
    return min((limit for limit in map(_read_number, files) if limit is not None), default=None)


def visible_gpus(environ: Mapping[str, str]) -> int:
    """How many NVIDIA devices there are, at most those that `CUDA_VISIBLE_DEVICES` names."""
    devices = sum(1 for _ in Path("/dev").glob("nvidia[0-9]*"))
    named = environ.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return devices
    return min(devices, sum(1 for name in named.split(",") if name.strip() and name.strip() != "-1"))


def own_cgroups(controller: str) -> Iterator[Path]:
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
