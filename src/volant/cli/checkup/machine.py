"""Python, the platform, cores, memory, GPUs."""

import contextlib
import platform
import shutil
import subprocess
import sys

import psutil

from volant.cli.checkup.findings import Finding, Verdict
from volant.kit.quantities import format_bytes, format_cpu
from volant.settings.machine import (
    allowed_cores,
    cpu_quota,
    memory_limit,
    physical_memory,
    usable_cpu,
    usable_memory,
    visible_gpus,
)
from volant.settings.tree import CapacitySettings

_GROUP = "machine"
_NEWEST_TRIED = (3, 13)
_PATIENCE = 5.0
"""Seconds that a tool may take to say what it is."""


def check_python() -> Finding:
    """The interpreter, which is also that of tasks whose image names no other."""
    version = platform.python_version()
    found = f"{platform.python_implementation()} {version}, {sys.executable or 'of unknown place'}"
    if not sys.executable:
        return Finding(_GROUP, "python", Verdict.PROBLEM, found, "an embedded interpreter cannot start the engine")
    if sys.version_info[:2] > _NEWEST_TRIED:
        newest = ".".join(map(str, _NEWEST_TRIED))
        return Finding(_GROUP, "python", Verdict.WARNING, found, f"newer than {newest}, the newest that was tried")
    return Finding(_GROUP, "python", Verdict.OK, found)


def check_platform() -> Finding:
    """The operating system."""
    found = f"{platform.system()} {platform.release()}, {platform.machine()}"
    match sys.platform:
        case "linux":
            return Finding(_GROUP, "platform", Verdict.OK, found)
        case "darwin":
            follows = "limits are not enforced, and a process that leaves its session can outlive its attempt"
            return Finding(_GROUP, "platform", Verdict.WARNING, found, follows)
        case _:
            return Finding(_GROUP, "platform", Verdict.PROBLEM, found, "Volant runs on Linux and macOS")


def check_cores(capacity: CapacitySettings | None) -> Finding:
    """How many cores the engine may use, and why."""
    parts = [f"{allowed_cores()} of {psutil.cpu_count() or '?'} by affinity"]
    quota = cpu_quota()
    parts.append("no quota" if quota is None else f"quota {format_cpu(quota)}")
    found = f"{format_cpu(usable_cpu())} ({', '.join(parts)})"
    if capacity is not None and capacity.cpu > usable_cpu():
        follows = f"capacity.cpu is {format_cpu(capacity.cpu)}: tasks will have less than they were promised"
        return Finding(_GROUP, "cores", Verdict.WARNING, found, follows)
    if capacity is not None and capacity.cpu < usable_cpu():
        found += f", {format_cpu(capacity.cpu)} by capacity.cpu"
    return Finding(_GROUP, "cores", Verdict.OK, found)


def check_memory(capacity: CapacitySettings | None) -> Finding:
    """How much memory the engine may use, and why."""
    limit = memory_limit()
    is_limited = limit is not None and limit < physical_memory()
    parts = [f"{format_bytes(physical_memory())} in the machine"]
    parts.append(f"control group {format_bytes(limit)}" if limit is not None and is_limited else "no limit")
    # Without /proc nobody says.
    with contextlib.suppress(OSError):
        parts.append(f"{format_bytes(psutil.virtual_memory().available)} free now")
    found = f"{format_bytes(usable_memory())} ({', '.join(parts)})"
    if capacity is not None and capacity.memory > usable_memory():
        follows = (
            f"capacity.memory is {format_bytes(capacity.memory)}: the system may kill tasks that stay within theirs"
        )
        return Finding(_GROUP, "memory", Verdict.WARNING, found, follows)
    if capacity is not None and capacity.memory < usable_memory():
        found += f", {format_bytes(capacity.memory)} by capacity.memory"
    return Finding(_GROUP, "memory", Verdict.OK, found)


def check_gpus(environ: dict[str, str]) -> Finding:
    """The GPUs, as nvidia-smi names them."""
    tool = shutil.which("nvidia-smi", path=environ.get("PATH"))
    visible = visible_gpus(environ)
    if tool is None and not visible:
        return Finding(_GROUP, "gpus", Verdict.MISSING, "none", "tasks that ask for one run without it")
    names, reason = _gpu_names(tool) if tool is not None else ([], "nvidia-smi is not there")
    found = ", ".join(names) or f"{visible} visible"
    if reason:
        return Finding(_GROUP, "gpus", Verdict.WARNING, found, reason)
    if len(names) > visible:
        return Finding(_GROUP, "gpus", Verdict.OK, f"{found} ({visible} visible here)")
    return Finding(_GROUP, "gpus", Verdict.OK, found)


def _gpu_names(tool: str) -> tuple[list[str], str]:
    """What the tool names, and why it does not if so."""
    try:
        done = subprocess.run(
            [tool, "--query-gpu=name,memory.total", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=_PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return [], f"nvidia-smi does not work: {error}"
    if done.returncode != 0:
        said = (done.stdout + done.stderr).strip().splitlines()
        return [], f"nvidia-smi does not work: {said[0] if said else f'exit code {done.returncode}'}"
    return [line.strip().replace(", ", " ") for line in done.stdout.splitlines() if line.strip()], ""
