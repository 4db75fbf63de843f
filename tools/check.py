"""Run the static checks, as many at once as there are cores, and show what the failed ones said.

`check.py lint types docs` runs all groups. The interpreter that runs this file is the one whose packages are checked.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOLS = Path(sys.executable).parent
TARGET = f"{sys.version_info.major}.{sys.version_info.minor}"


@dataclass(frozen=True, kw_only=True)
class Check:
    name: str
    command: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    check: Check
    passed: bool
    output: str
    took: timedelta


def tool(name: str, *arguments: str) -> tuple[str, ...]:
    return (str(TOOLS / name), *arguments)


GROUPS: dict[str, tuple[Check, ...]] = {
    "lint": (
        Check(name="ruff check", command=tool("ruff", "check", ".")),
        Check(name="ruff format", command=tool("ruff", "format", "--check", ".")),
        Check(name="import contracts", command=tool("lint-imports")),
    ),
    "docs": (Check(name="documentation", command=(sys.executable, "tools/docs.py")),),
    "types": (
        # What is checked, and how strictly, pyproject.toml says.
        Check(name="pyright", command=tool("pyright", "--pythonpath", sys.executable, "--pythonversion", TARGET)),
        Check(name="mypy", command=tool("mypy", "--python-executable", sys.executable, "--python-version", TARGET)),
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("groups", nargs="+", choices=sorted(GROUPS))
    names: list[str] = parser.parse_args(argv).groups
    # The slow ones first, so that they overlap.
    checks = [check for name in reversed(names) for check in GROUPS[name]]
    failed = False
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for done in as_completed([pool.submit(perform, check) for check in checks]):
            verdict = done.result()
            failed = failed or not verdict.passed
            show(verdict)
    return 1 if failed else 0


def perform(check: Check) -> Verdict:
    start = time.perf_counter()
    # pyright finds its Node.js beside itself only where that folder is on the path.
    environment = os.environ | {"PATH": f"{TOOLS}{os.pathsep}{os.environ.get('PATH', '')}"}
    done = subprocess.run(
        check.command,
        cwd=ROOT,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    took = timedelta(seconds=time.perf_counter() - start)
    return Verdict(check=check, passed=done.returncode == 0, output=done.stdout.strip(), took=took)


def show(verdict: Verdict) -> None:
    word = "passed" if verdict.passed else "FAILED"
    print(f"{verdict.check.name:<18}{word}  {verdict.took.total_seconds():6.1f} s", flush=True)
    if not verdict.passed:
        print(verdict.output, end="\n\n", flush=True)


if __name__ == "__main__":
    sys.exit(main())
