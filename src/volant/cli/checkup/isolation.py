"""What the kernel offers for keeping attempts apart and for ending them whole."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from volant.cli.checkup.findings import Finding, Verdict
from volant.kit.processes import can_be_subreaper
from volant.settings.machine import own_cgroups

_GROUP = "isolation"
_CONTROLLERS = ("memory", "cpu", "pids")


def check_fork() -> Finding:
    """Warm interpreters fork: a millisecond for an attempt instead of a new interpreter."""
    if hasattr(os, "fork"):
        return Finding(_GROUP, "fork", Verdict.OK, "available")
    return Finding(_GROUP, "fork", Verdict.PROBLEM, "not available", "attempts cannot be started")


def check_subreaper() -> Finding:
    """Orphans of an attempt stay below it."""
    if can_be_subreaper():
        return Finding(_GROUP, "subreaper", Verdict.OK, "available")
    follows = "a process that leaves its session can outlive its attempt"
    return Finding(_GROUP, "subreaper", Verdict.MISSING, "not available", follows)


def check_pidfd() -> Finding:
    """A handle of a process instead of a number that is used again."""
    follows = "processes are known by number and start time alone"
    if not hasattr(os, "pidfd_open"):
        return Finding(_GROUP, "pidfd", Verdict.MISSING, f"not on {sys.platform}", follows)
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError as error:
        return Finding(_GROUP, "pidfd", Verdict.MISSING, f"refused: {error.strerror}", follows)
    return Finding(_GROUP, "pidfd", Verdict.OK, "available")


def check_cgroups() -> Finding:
    """Whether this process can make control groups below its own."""
    follows = "limits are watched from outside, and trees of processes are ended one by one"
    found = list(_group_folders())
    if not found:
        return Finding(_GROUP, "cgroups", Verdict.MISSING, "none mounted", follows)
    writable = [name for name, folder in found if _takes_groups(folder)]
    refused = [name for name, _folder in found if name not in writable]
    if not writable:
        return Finding(_GROUP, "cgroups", Verdict.MISSING, f"{', '.join(refused)}: not writable", follows)
    note = f"; not writable: {', '.join(refused)}" if refused else ""
    return Finding(_GROUP, "cgroups", Verdict.OK, f"writable: {', '.join(writable)}{note}")


def _group_folders() -> Iterator[tuple[str, Path]]:
    """The groups that this process is in, by what they are called."""
    seen: set[Path] = set()
    for controller in _CONTROLLERS:
        for folder in own_cgroups(controller):
            # Only a real group has it; the folder that other hierarchies are mounted in has not.
            if folder in seen or not (folder / "cgroup.procs").exists():
                continue
            seen.add(folder)
            yield ("v2" if (folder / "cgroup.controllers").exists() else f"v1 {controller}"), folder
            break


def _takes_groups(folder: Path) -> bool:
    trial = folder / f"volant-doctor-{os.getpid()}"
    try:
        trial.mkdir()
    except OSError:
        return False
    with contextlib.suppress(OSError):
        trial.rmdir()
    return True
