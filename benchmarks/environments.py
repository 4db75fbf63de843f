"""The virtual environments of the peers: made once, and again when what is pinned here changes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

PINNED = {
    "dbos": ("dbos==3.4.0",),
    "flyte": ("flyte==2.12.1",),
    "ray": ("ray==2.60.0",),
}


class NoEnvironment(Exception):
    """A peer could not be installed; the message says why."""


def folder_of(peer: str) -> Path:
    return ROOT / ".venvs" / peer


def ensure(peer: str) -> None:
    """Install *peer* unless it is there already.

    Raises:
        NoEnvironment: it cannot be installed here. What was begun is removed.
    """
    folder = folder_of(peer)
    stamp = folder / ".pinned"
    wanted = f"{sys.version_info.major}.{sys.version_info.minor} {' '.join(PINNED[peer])}"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    print(f"bench: installing {', '.join(PINNED[peer])} into {folder.relative_to(ROOT)}", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if uv is None:
        raise NoEnvironment("found no uv to install it with")
    try:
        _run(uv, "venv", "--quiet", "--python", sys.executable, str(folder))
        _run(uv, "pip", "install", "--quiet", "--python", str(folder / "bin" / "python"), *PINNED[peer])
    except NoEnvironment:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    stamp.write_text(wanted)


def _run(*command: str) -> None:
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        last = done.stdout.strip().splitlines()[-1:] or ["no output"]
        raise NoEnvironment(f"could not be installed: {last[0]}")
