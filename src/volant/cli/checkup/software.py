"""Tools and libraries that Volant uses where they are there."""

import importlib.metadata
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from volant.cli.checkup.findings import Finding, Verdict

_GROUP = "software"
_PATIENCE = 3.0
"""Seconds that a tool may take to say its version."""
_CONTAINER_TOOLS = ("docker", "podman", "buildah")
_LIBRARIES = {
    "numpy": "only programs that use its arrays need it",
    "pandas": "only programs that use its frames need it",
    "polars": "only programs that use its frames need it",
    "pyarrow": "frames cannot be passed between tasks",
    "ray": "no launcher for Ray clusters",
    "kubernetes": "no launcher for Kubernetes clusters",
}
"""Optional ones, and what follows where one is not there."""


def check_tools(environ: Mapping[str, str]) -> list[Finding]:
    """uv and what builds containers."""
    path = environ.get("PATH")
    # uv is often installed beside the interpreter of an environment that nobody activated.
    beside = os.pathsep.join(filter(None, (path, str(Path(sys.executable).parent))))
    with ThreadPoolExecutor(max_workers=4) as pool:
        uv = pool.submit(version_of, "uv", beside)
        containers = {name: pool.submit(version_of, name, path) for name in _CONTAINER_TOOLS}
        service = pool.submit(docker_answers, path)
        found = [f"{name} {version}" for name, done in containers.items() if (version := done.result()) is not None]
        if found and found[0].startswith("docker") and not service.result():
            found[0] += " (its service does not answer)"
        uv_version = uv.result()
    if uv_version is None:
        follows = "images with packages cannot become environments here; pip install uv"
        first = Finding(_GROUP, "uv", Verdict.MISSING, "not found", follows)
    else:
        first = Finding(_GROUP, "uv", Verdict.OK, uv_version)
    if not found:
        follows = "what only a container can give (system packages, commands) is left out"
        return [
            first,
            Finding(_GROUP, "containers", Verdict.MISSING, f"none of {', '.join(_CONTAINER_TOOLS)}", follows),
        ]
    return [first, Finding(_GROUP, "containers", Verdict.OK, ", ".join(found))]


def version_of(tool: str, path: str | None) -> str | None:
    """What the tool says of its version; None where there is none."""
    program = shutil.which(tool, path=path)
    if program is None:
        return None
    done = _say(program, "--version")
    if done is None:
        return "(does not answer)"
    return next((word.rstrip(",") for word in done.stdout.split() if word[:1].isdecimal()), "(of unknown version)")


def docker_answers(path: str | None) -> bool:
    """Whether the service behind the command is there: alone the command builds nothing."""
    program = shutil.which("docker", path=path)
    done = _say(program, "version", "--format", "{{.Server.Version}}") if program is not None else None
    return done is not None and done.returncode == 0


def _say(program: str, *arguments: str) -> "subprocess.CompletedProcess[str] | None":
    """What a tool says; None when it does not in time."""
    try:
        return subprocess.run(
            [program, *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=_PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None


def check_libraries() -> list[Finding]:
    """The libraries whose values or clusters Volant knows. None is imported."""
    return [_check_library(name, follows) for name, follows in _LIBRARIES.items()]


def _check_library(name: str, follows: str) -> Finding:
    try:
        return Finding(_GROUP, name, Verdict.OK, importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Finding(_GROUP, name, Verdict.MISSING, "not installed", follows)
