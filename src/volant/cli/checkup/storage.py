"""The home: whether it can be used, on what file system it lies, how fast a commit is there."""

import os
import shutil
import sqlite3
import tempfile
import threading
import time
from pathlib import Path
from statistics import median

import psutil

from volant.cli.checkup.findings import Finding, Verdict
from volant.journal.sqlite.opening import OLDEST_SQLITE
from volant.kit.quantities import format_bytes

_GROUP = "home"
_NETWORKED = (
    "nfs",
    "cifs",
    "smb",
    "9p",
    "afs",
    "ceph",
    "glusterfs",
    "lustre",
    "gpfs",
    "beegfs",
    "ncpfs",
    "davfs",
    "webdav",
)
_NETWORKED_FUSE = ("sshfs", "s3fs", "gcsfuse", "goofys", "rclone", "blobfuse", "glusterfs", "ceph")
_SMALL = 1024**3
_TRIALS = 20
_MOST_SECONDS = 0.5
"""For all trials together."""
_STUCK_SECONDS = 5.0
_SLOW_SECONDS = 0.02


def check_home(home: Path) -> list[Finding]:
    """All that there is to say of a home. Nothing is made that stays."""
    folder = nearest_folder(home)
    usable = check_access(home, folder)
    if usable.verdict is Verdict.PROBLEM:
        return [usable, check_filesystem(folder), check_sqlite()]
    return [usable, check_filesystem(folder), check_space(folder), check_commits(folder), check_sqlite()]


def nearest_folder(home: Path) -> Path:
    """The home, or what of its path is there."""
    return next(path for path in (home, *home.parents) if path.exists())


def check_access(home: Path, folder: Path) -> Finding:
    """Whether this user can keep files there."""
    elsewhere = "choose another with VOLANT_HOME"
    if not folder.is_dir():
        return Finding(_GROUP, "folder", Verdict.PROBLEM, f"{home}: {folder} is not a folder", elsewhere)
    if not os.access(folder, os.W_OK | os.X_OK):
        return Finding(_GROUP, "folder", Verdict.PROBLEM, f"{home}: {folder} is not writable", elsewhere)
    if folder != home:
        return Finding(_GROUP, "folder", Verdict.OK, f"{home}, made by the first run")
    if home.stat().st_uid != os.getuid():
        return Finding(_GROUP, "folder", Verdict.PROBLEM, f"{home} belongs to user {home.stat().st_uid}", elsewhere)
    return Finding(_GROUP, "folder", Verdict.OK, str(home))


def check_filesystem(folder: Path) -> Finding:
    """What the folder lies on."""
    kind = filesystem_of(folder)
    if is_networked(kind):
        follows = "SQLite is not safe on a network file system; VOLANT_HOME or VOLANT_DATABASE can name a local disk"
        return Finding(_GROUP, "file system", Verdict.WARNING, kind, follows)
    if kind in {"tmpfs", "ramfs"}:
        return Finding(_GROUP, "file system", Verdict.WARNING, kind, "in memory: nothing of it survives a restart")
    return Finding(_GROUP, "file system", Verdict.OK, kind or "unknown")


def filesystem_of(folder: Path) -> str:
    """The type of the file system, empty where the system does not say."""
    path = os.path.realpath(folder)
    best = ""
    kind = ""
    try:
        parts = psutil.disk_partitions(all=True)
    except OSError:
        return ""
    for part in parts:
        point = part.mountpoint.rstrip("/") + "/"
        # Of two mounts on one point the later one hides the earlier.
        if f"{path}/".startswith(point) and len(point) >= len(best):
            best, kind = point, part.fstype
    return kind


def is_networked(kind: str) -> bool:
    """Whether a type of file system means another machine."""
    name = kind.lower()
    return name.startswith(_NETWORKED) or (name.startswith("fuse") and any(word in name for word in _NETWORKED_FUSE))


def check_space(folder: Path) -> Finding:
    """How much room is left."""
    free = shutil.disk_usage(folder).free
    if free < _SMALL:
        follows = "the engine ends when the journal cannot grow"
        return Finding(_GROUP, "free space", Verdict.WARNING, format_bytes(free), follows)
    return Finding(_GROUP, "free space", Verdict.OK, format_bytes(free))


def check_commits(folder: Path) -> Finding:
    """How long it takes until a small write is safe on the disk."""
    found: list[float] = []
    failed: list[OSError] = []

    def measure() -> None:
        try:
            found.extend(time_commits(folder))
        except OSError as error:
            failed.append(error)

    # A server that does not answer must not make the doctor wait for it.
    thread = threading.Thread(target=measure, name="volant doctor commits", daemon=True)
    thread.start()
    thread.join(_STUCK_SECONDS)
    if failed:
        follows = "choose another with VOLANT_HOME"
        return Finding(_GROUP, "commits", Verdict.PROBLEM, f"cannot be written: {failed[0].strerror}", follows)
    if not found:
        follows = "every commit waits for it; VOLANT_HOME can name another disk"
        return Finding(_GROUP, "commits", Verdict.WARNING, f"not within {_STUCK_SECONDS:g} s", follows)
    return judge_commits(found)


def judge_commits(seconds: list[float]) -> Finding:
    """What the measured times mean."""
    middle, longest = median(seconds), max(seconds)
    shown = f"{middle * 1000:.1f} ms each, {longest * 1000:.1f} ms at most ({len(seconds)} tried)"
    if middle > _SLOW_SECONDS:
        follows = "an action is told only after its commit, so a chain of actions takes at least that for each"
        return Finding(_GROUP, "commits", Verdict.WARNING, shown, follows)
    return Finding(_GROUP, "commits", Verdict.OK, shown)


def time_commits(folder: Path) -> list[float]:
    """Seconds of each of some small writes with fsync; at least one, and no more after half a second."""
    times: list[float] = []
    with tempfile.TemporaryFile(dir=folder) as file:
        began = time.perf_counter()
        while len(times) < _TRIALS and (not times or time.perf_counter() - began < _MOST_SECONDS):
            start = time.perf_counter()
            file.write(b"\0" * 4096)
            file.flush()
            os.fsync(file.fileno())
            times.append(time.perf_counter() - start)
    return times


def check_sqlite() -> Finding:
    """The SQLite that Python was built with."""
    found = sqlite3.sqlite_version
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        wanted = ".".join(map(str, OLDEST_SQLITE))
        return Finding(
            _GROUP, "sqlite", Verdict.PROBLEM, found, f"too old for the journal, {wanted} or newer is wanted"
        )
    return Finding(_GROUP, "sqlite", Verdict.OK, found)
