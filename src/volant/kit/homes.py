"""Where things lie in a home: the one rule that engine, clients and workers share.

A Unix socket's path has room for about a hundred bytes. A home whose own path is longer gets its socket in a private
folder under `/tmp`, named by user and by a hash of the home: not under `$TMPDIR`, which a client and the engine it
did not start may see differently.
"""

import contextlib
import os
import stat
from pathlib import Path

from volant.kit.digests import blake2b

_SOCKET_PATH_BYTES = 100
"""The kernel's limit is 108 on Linux, 104 on macOS, with the closing zero."""

_SHORT_FOLDER = "/tmp"
_SIGNS_OF_A_HOME = frozenset({"engine.lock", "config.toml", "journal.db"})


class HomeError(OSError):
    """A folder that only its owner may use is not that."""


def socket_path(home: Path) -> Path:
    """The socket of the engine of *home*, an absolute path."""
    path = home / "engine.sock"
    if len(os.fsencode(path)) <= _SOCKET_PATH_BYTES:
        return path
    digest = blake2b(os.fsencode(home), digest_size=12).hexdigest()
    return Path(_SHORT_FOLDER, f"volant-{os.getuid()}", f"{digest}.sock")


def adoption_path(home: Path) -> Path:
    """The socket on which the engine of *home* waits for processes of an earlier one."""
    path = socket_path(home)
    return path.with_name("adopt.sock") if path.parent == home else path.with_suffix(".adopt")


def engine_lock_path(home: Path) -> Path:
    """The file whose lock makes a process the engine of *home*."""
    return home / "engine.lock"


def engine_log_path(home: Path) -> Path:
    """What the engine of *home* writes to its standard error, over all its lives."""
    return home / "engine.log"


def journal_path(home: Path) -> Path:
    """The SQLite journal of *home*, unless the setting `database` names another."""
    return home / "journal.db"


def blobs_path(home: Path) -> Path:
    """The local blob store of *home*, unless the setting `blobs` names another."""
    return home / "blobs"


def config_path(home: Path) -> Path:
    """The settings of *home*."""
    return home / "config.toml"


def logs_path(home: Path) -> Path:
    """The captured output of attempts, one folder per run."""
    return home / "logs"


def absolute_home(home: str | os.PathLike[str]) -> Path:
    """The one spelling of *home*: absolute, user expanded, links followed, so that every client finds one engine."""
    return Path(os.path.realpath(os.path.expanduser(home)))


def is_text(path: str) -> bool:
    """Whether a path can be told to other processes: the bytes of its name are UTF-8."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def prepare_home(home: Path) -> None:
    """Create the home, and the folder of its socket, for this user alone.

    Raises:
        HomeError: one of the folders belongs to another user, or is not a folder; or the home is a folder with
            something else in it that others may use, and would not any more.
        OSError: it cannot be created.
    """
    home.parent.mkdir(parents=True, exist_ok=True)
    _refuse_other_folders(home)
    _make_private(home)
    folder = socket_path(home).parent
    if folder != home:
        _make_private(folder)


def _refuse_other_folders(home: Path) -> None:
    """Making a folder private is nothing to do in passing to one that is somebody's project."""
    try:
        mode = stat.S_IMODE(home.stat().st_mode)
        names = {entry.name for entry in home.iterdir()}
    except OSError:
        # There is none, or no folder: said by who makes it.
        return
    if mode & 0o077 and names and names.isdisjoint(_SIGNS_OF_A_HOME):
        msg = (
            f"{home} has other files in it ({min(names)}, ...) and may be used by other users (mode {mode:o}), "
            "while a home is private"
        )
        raise HomeError(msg)


def _make_private(folder: Path) -> None:
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    # lstat: a link that another user planted under a predictable name in /tmp must not be followed.
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        msg = f"{folder} is not a folder"
        raise HomeError(msg)
    if found.st_uid != os.getuid():
        msg = f"{folder} belongs to user {found.st_uid}, not to user {os.getuid()}; it has to be private"
        raise HomeError(msg)
    if stat.S_IMODE(found.st_mode) != 0o700:
        folder.chmod(0o700)
