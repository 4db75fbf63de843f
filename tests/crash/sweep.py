"""Dying at every point: discover what there is in a run of a small, varied program; die there; look at the laws.

`python -m tests.crash.sweep` (`make crash-points`) does so for all points, `tests/crash/test_points.py` for a choice.
"""

import argparse
import contextlib
import inspect
import itertools
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from random import Random

import psutil

from tests.scenarios.conftest import PATIENCE, User
from volant.journal.sqlite.writer import Writer
from volant.kit.homes import socket_path

ROOT = Path(__file__).parents[2]
SCENARIO = """
    import asyncio, os, sys
    import volant

    env = volant.TaskEnvironment(name="scenario", resources=volant.Resources(cpu="10m"))

    def note(path: str, line: str) -> None:
        with open(path, "a") as file:
            file.write(line + "\\n")
            file.flush()
            os.fsync(file.fileno())

    @env.task
    async def leaf(n: int, log: str) -> int:
        note(log, f"executed {n}")
        return n * n

    @env.task
    async def told(n: int, log: str) -> int:
        found = await leaf(n, log)
        note(log, f"told {n}")
        return found

    @env.task
    def large(size: int, log: str) -> bytes:
        note(log, "executed large")
        return b"x" * size

    @env.task(retries=5)
    async def flaky(log: str) -> str:
        if volant.ctx().attempt_number == 0:
            raise ValueError("not at the first time")
        return "at last"

    @env.task
    async def slow(log: str) -> str:
        await asyncio.sleep(60)
        return "never"

    @env.task
    async def quick(log: str) -> str:
        return "quick"

    @env.task
    async def main(log: str) -> dict[str, str | int]:
        values = await asyncio.gather(*(told(n, log) for n in range(3)))
        size = len(await large.aio(300_000, log))
        note(log, "told large")
        race = [asyncio.ensure_future(quick(log)), asyncio.ensure_future(slow(log))]
        done, left = await asyncio.wait(race, return_when=asyncio.FIRST_COMPLETED)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        return {"sum": sum(values), "size": size, "flaky": await flaky(log), "winner": done.pop().result()}
"""
_AGAIN = 3
_NOT_YET = ("went away", "nothing executes it now")
"""What a client says whose engine died before the run was in its hands, or before it could watch it."""
RESULT = {"sum": 5, "size": 300_000, "flaky": "at last", "winner": "quick"}


@dataclass(frozen=True)
class Death:
    """Where and when to die: at a point, when it is passed for the *times*-th time, perhaps while a run is resumed."""

    point: str
    times: int = 1
    resuming: bool = False

    def __str__(self) -> str:
        return f"{self.point}{f' x{self.times}' if self.times > 1 else ''}{' (resuming)' if self.resuming else ''}"


@dataclass(frozen=True)
class Case:
    """What came of a death."""

    death: Death
    died: bool
    wrong: str | None
    seconds: float


class Stage:
    """A home with a watched engine, and a client."""

    def __init__(self, folder: Path) -> None:
        (folder / "project").mkdir(parents=True)
        self.user = User(folder / "home", folder / "project", VOLANT_ENGINE_LINGER="30", VOLANT_GRACE_PERIOD="0.5")
        self.user.write("scenario.py", SCENARIO)
        self.record = folder / "points"
        self.once = folder / "once"
        self.log = folder / "log"
        self._started: list[subprocess.Popen[str]] = []

    def watch(self, death: Death | None) -> None:
        """Start the watched engine, and return when it listens or is dead."""
        self.once.unlink(missing_ok=True)
        self.record.unlink(missing_ok=True)
        command = [sys.executable, "-m", "tests.crash.watched_engine", str(self.user.home), str(self.record)]
        command += [str(self.once), *([] if death is None else [death.point, str(death.times)])]
        self.user.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        environ = {**self.user.environ, "PYTHONPATH": str(ROOT)}
        with (self.user.folder / "engine.log").open("a") as log:
            engine = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=log, stderr=log, text=True)
        self._started.append(engine)
        until = time.monotonic() + PATIENCE
        while engine.poll() is None and not _listens(self.user.home):
            assert time.monotonic() < until, "the engine does not listen"
            time.sleep(0.01)

    def cut(self) -> None:
        """Begin the run, and lose the engine that executes it in the middle."""
        self.watch(MIDDLE)
        given = ["run", "--name", "swept", "--detach", "scenario.py", "main", "--log", str(self.log)]
        self.user.volant(*given)
        self._started[-1].wait(timeout=PATIENCE)

    def run(self) -> str | None:
        """Run the scenario to its end, whatever engine does it; what is wrong with what came."""
        done = self._submit()
        if done.returncode != 0 and "went away" in done.stderr:
            # The engine died before it had said that it has the run: perhaps it has it.
            wrong = self.resume()
            if wrong is None or "there is no run" not in wrong:
                return wrong
            done = self._submit()
        return self._judge(done)

    def _submit(self) -> "subprocess.CompletedProcess[str]":
        given = ["run", "--name", "swept", "scenario.py", "main", "--log", str(self.log), "-o", "json"]
        return self.user.volant(*given, ok=False)

    def resume(self) -> str | None:
        """Go on with the run to its end, as often as the client is told to ask for that again."""
        for _ in range(_AGAIN):
            done = self.user.volant("resume", "swept", "-o", "json", ok=False)
            if done.returncode == 0 or not any(hint in done.stderr for hint in _NOT_YET):
                break
        if done.returncode != 0 and "it has ended" in done.stderr:
            done = self.user.volant("attach", "swept", "-o", "json", ok=False)
        return self._judge(done)

    def _judge(self, done: "subprocess.CompletedProcess[str]") -> str | None:
        if done.returncode != 0:
            return f"the client ended with {done.returncode}: {done.stderr.strip()[-600:]}"
        found = json.loads(done.stdout)["outputs"]["o0"]
        if found != RESULT:
            return f"it gave {found}"
        known: set[str] = set()
        for line in self.log.read_text().splitlines():
            verb, what = line.split()
            if verb == "told":
                known.add(what)
            elif what in known:
                return f"{what} was told and is executed again"
        return None

    def end(self) -> str | None:
        """End all that is left of engines; what did not end by itself."""
        self.user.volant("engine", "stop", "--abort-runs", ok=False)
        for engine in self._started:
            with contextlib.suppress(subprocess.TimeoutExpired):
                engine.wait(timeout=10)
        _, alive = psutil.wait_procs(self.user.processes(), timeout=10)
        for process in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        drafts = [path.name for path in (self.user.home / "blobs").glob("*/.*")] if not self.once.exists() else []
        if alive or drafts:
            return f"left behind: {[process.pid for process in alive]} {drafts}"
        return None

    def points(self) -> list[str]:
        """All that were passed."""
        return sorted(set(self.record.read_text().splitlines())) if self.record.exists() else []


def _commit() -> str:
    """The point after a commit."""
    lines, first = inspect.getsourcelines(Writer._commit)
    number = next(number for number, line in enumerate(lines, first) if "COMMIT" in line)
    return f"engine after execute journal/sqlite/writer.py:{number} _commit"


def _listens(home: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        return connection.connect_ex(str(socket_path(home))) == 0


MIDDLE = Death(point=_commit(), times=8)
"""How an engine dies whose run is to be resumed."""


def discover(folder: Path, *, resuming: bool = False) -> list[str]:
    """Run the scenario undisturbed, or resume it so; the points that it passes."""
    stage = Stage(folder)
    if resuming:
        stage.cut()
    stage.watch(None)
    wrong = stage.resume() if resuming else stage.run()
    left = stage.end()
    assert wrong is None, wrong
    assert left is None, left
    return stage.points()


def die(folder: Path, death: Death) -> Case:
    """Run the scenario, or resume it, die, and let it go on."""
    began = time.monotonic()
    stage = Stage(folder)
    if death.resuming:
        stage.cut()
    stage.watch(death)
    wrong = stage.resume() if death.resuming else stage.run()
    left = stage.end()
    return Case(death=death, died=stage.once.exists(), wrong=wrong or left, seconds=time.monotonic() - began)


def choose(points: Sequence[str], *, at_most: int) -> list[str]:
    """Of many points some: the roles take turns, and each goes through its functions before it comes to other sites.

    Which site and side it is changes with the code, since the line is in the name.
    """
    lines: list[list[str]] = []
    for role in ("engine", "zygote", "worker"):
        by_function: dict[str, list[str]] = {}
        ours = [point for point in points if point.startswith(role)]
        Random(f"{role} {len(ours)}").shuffle(ours)
        for point in ours:
            by_function.setdefault(point.split(" ", 3)[2], []).append(point)
        lines.append([point for depth in itertools.zip_longest(*by_function.values()) for point in depth if point])
    return [point for turn in itertools.zip_longest(*lines) for point in turn if point][:at_most]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.crash.sweep", description="Die at every point.")
    parser.add_argument("--only", default="", help="points whose name contains this")
    parser.add_argument("--list", action="store_true", help="list the points and die at none")
    parser.add_argument("--at-once", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="volant-points-") as root:
        deaths = list(_deaths(Path(root)))
        deaths = [death for death in deaths if given.only in str(death)]
        if given.list:
            print("\n".join(map(str, deaths)))
            return 0
        print(f"crash-points: {len(deaths)} deaths to die")
        with ThreadPoolExecutor(given.at_once) as pool:
            cases = list(pool.map(lambda item: _report(die(Path(root, str(item[0])), item[1])), enumerate(deaths)))
    wrong = [case for case in cases if case.wrong]
    died = sum(case.died for case in cases)
    print(
        f"crash-points: died {died} times, {len(cases) - died} points were not passed so often, {len(wrong)} went wrong"
    )
    for case in wrong:
        print(f"  {case.death}\n    {case.wrong}")
    return 1 if wrong else 0


def _deaths(folder: Path) -> Iterator[Death]:
    points = [point for point in discover(folder / "discovery") if not point.startswith("unseen")]
    yield from (Death(point=point) for point in points)
    # The first time is the beginning of a run; the middle looks otherwise.
    yield from (Death(point=point, times=7) for point in points if point.startswith("engine"))
    again = discover(folder / "resuming", resuming=True)
    yield from (Death(point=point, resuming=True) for point in again if point.startswith("engine"))


def _report(case: Case) -> Case:
    mark = "WRONG" if case.wrong else "ok" if case.died else "not passed"
    print(f"{mark:<12}{case.seconds:5.1f} s  {case.death}", flush=True)
    return case


if __name__ == "__main__":
    sys.exit(main())
