"""Make a virtual environment that can test Volant, or do nothing where it is there already.

A fresh machine has a Python and little else: perhaps no uv, no pip, no ensurepip. So this file needs only the standard
library. It makes the environment without pip, brings uv into it by whichever way is open, and leaves the rest to uv.
A stamp inside the environment holds a digest of all that decides its content; while it matches, nothing is done.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Generator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS = ROOT / "constraints.txt"

# One test forks a process that has imported torch. The registry's build drags in gigabytes of GPU libraries, so only a
# build that lies on this machine's disk (pip's `find-links`) is taken, together with its few pure dependencies.
TORCH = "torch==2.13.0"
TORCH_NEEDS = ("filelock", "fsspec", "jinja2", "networkx", "sympy", "typing-extensions", "setuptools")


class SetupError(Exception):
    """The environment cannot be made here; the message says what to do about it."""


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("venv", type=Path, help="folder of the virtual environment")
    venv: Path = ROOT / parser.parse_args(argv).venv
    wanted = fingerprint()
    if is_ready(venv, wanted):
        return 0
    try:
        with locked(venv):
            if not is_ready(venv, wanted):
                build(venv)
                stamp_of(venv).write_text(wanted)
                say(f"{shown(venv)} is ready")
    except SetupError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def build(venv: Path) -> None:
    make_venv(venv)
    uv = obtain_uv(venv)
    say("installing volant and what its tests need (a first time takes a minute or two)")
    target = ["--python", str(python_of(venv))]
    constrained = ["--constraint", str(CONSTRAINTS)]
    must([*uv, "pip", "install", *target, *constrained, "--group", "dev", "--editable", "."], "install the packages")
    install_torch(venv, uv)


def fingerprint() -> str:
    """A digest of everything that decides what is installed; other edits of pyproject.toml do not change it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    tables = {name: project.get(name) for name in ("build-system", "project", "dependency-groups")}
    digest = hashlib.sha256(json.dumps(tables, sort_keys=True).encode())
    for file in (CONSTRAINTS, Path(__file__)):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def is_ready(venv: Path, wanted: str) -> bool:
    stamp = stamp_of(venv)
    return python_of(venv).exists() and stamp.exists() and stamp.read_text() == wanted


def make_venv(venv: Path) -> None:
    if venv.exists() and not runs([str(python_of(venv)), "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]):
        say(f"{shown(venv)} has no Python 3.11 or newer that runs; making it anew")
        shutil.rmtree(venv)
    if not venv.exists():
        say(f"making {shown(venv)} with Python {sys.version.split()[0]}")
        must([sys.executable, "-m", "venv", "--without-pip", str(venv)], "make a virtual environment")


def obtain_uv(venv: Path) -> list[str]:
    """The command that runs uv, installed into *venv* unless only one elsewhere is to be had."""
    inside = venv / "bin" / "uv"
    if runs([str(inside), "--version"]):
        return [str(inside)]
    say("installing uv")
    if pip := pip_for(venv):
        must([*pip, "install", "--quiet", "uv"], "install uv")
        return [str(inside)]
    if runs(["uv", "--version"]):
        return ["uv"]
    raise SetupError(
        f"{sys.executable} has neither pip nor ensurepip, and there is no uv to be found; wanted one of them\n"
        "hint: install your system's venv package (Debian: apt-get install python3-venv), then try again"
    )


def pip_for(venv: Path) -> list[str] | None:
    """A command that runs pip on *venv*, or None where this machine has no pip and no way to get one."""
    python = str(python_of(venv))
    own = [python, "-m", "pip"]
    if runs([*own, "--version"]) or runs([python, "-m", "ensurepip"]):
        return own
    borrowed = [sys.executable, "-m", "pip", "--python", python]
    if runs([*borrowed, "--version"]):
        return borrowed
    package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    if os.geteuid() == 0 and sys.executable.startswith("/usr/bin/") and shutil.which("apt-get"):
        say(f"this Python has no ensurepip; installing the system package {package}")
        if runs(["apt-get", "update"]) and runs(["apt-get", "install", "--yes", "--no-install-recommends", package]):
            return own if runs([python, "-m", "ensurepip"]) else None
    return None


def install_torch(venv: Path, uv: list[str]) -> None:
    target = ["--python", str(python_of(venv)), "--constraint", str(CONSTRAINTS)]
    must([*uv, "pip", "install", *target, "pip"], "install pip")
    # Without an index pip looks at local files only, so this can never start a large download.
    if runs([str(python_of(venv)), "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", TORCH]):
        must([*uv, "pip", "install", *target, *TORCH_NEEDS], "install what torch needs")
    else:
        say(f"NOTE: no build of {TORCH} for this Python on disk; THE TESTS THAT IMPORT TORCH WILL BE SKIPPED")


@contextlib.contextmanager
def locked(venv: Path) -> Generator[None]:
    """Keep two `make` at once from building one environment together."""
    venv.parent.mkdir(parents=True, exist_ok=True)
    with venv.with_name(f"{venv.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def must(command: Sequence[str], purpose: str) -> None:
    done = attempt(command)
    if done.returncode:
        raise SetupError(f"could not {purpose}: `{' '.join(command)}` ended with {done.returncode}\n{done.stdout}")


def runs(command: Sequence[str]) -> bool:
    try:
        return attempt(command).returncode == 0
    except OSError:
        return False


def attempt(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    # VIRTUAL_ENV and PYTHONPATH of the caller's shell would point these tools at another environment.
    environment = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}
    return subprocess.run(
        command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )


def python_of(venv: Path) -> Path:
    return venv / "bin" / "python"


def stamp_of(venv: Path) -> Path:
    return venv / ".volant-setup"


def shown(venv: Path) -> str:
    return os.path.relpath(venv, ROOT)


def say(line: str) -> None:
    print(f"setup: {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
