"""Take samples of the contestants of a workload in turn, so that the machine's moods strike all of them alike."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from benchmarks.model import Clock, Contestant, Home, Row, Series, Unit, Workload

ROOT = Path(__file__).resolve().parent.parent
# Beside the checkout, not in the system's temporary folder, which may be memory: commits have to reach a disk.
HOMES = ROOT / ".cache"
VOLANT = str(Path(sys.executable).parent / "volant")
PATIENCE = timedelta(minutes=5)


class BadSample(Exception):
    """A contestant did not run to its end as it should; the message says what happened."""


class Sample(NamedTuple):
    """What one command said."""

    figures: Mapping[str, float]
    note: str = ""


Samples = dict[tuple[tuple[str, ...], int], "Sample | BadSample"]
"""What was printed by those who print several figures, by command and round: each figure is asked for by itself."""


def measure(workload: Workload, repetitions: int, unavailable: Mapping[str, str], taken: Samples) -> list[Row]:
    """One row for each peer, or for ours alone. *unavailable* tells which contestants cannot run, and why."""
    contestants = [workload.ours, *(peer.contestant for peer in workload.peers)]
    samples: dict[str, list[float]] = {contestant.name: [] for contestant in contestants}
    notes: dict[str, str] = {}
    problems = {name: problem for name, problem in unavailable.items() if name in samples}
    with ExitStack() as stack:
        homes = {c.name: stack.enter_context(new_home()) for c in contestants if c.home is Home.WARM}
        for repetition in range(-1, min(repetitions, workload.at_most or repetitions)):
            for contestant in rotated(contestants, repetition):
                # The round before the first fills caches; who measures itself sees to that itself.
                warming = repetition < 0
                if contestant.name in problems or (warming and contestant.clock is Clock.INSIDE):
                    continue
                found = sample_once(contestant, repetition, homes.get(contestant.name), taken)
                if isinstance(found, BadSample):
                    problems[contestant.name] = str(found)
                elif (figure := found.figures.get(contestant.figure)) is None:
                    problems[contestant.name] = f"printed no figure {contestant.figure!r}"
                elif not warming:
                    samples[contestant.name].append(in_unit(figure, workload.unit))
                    notes[contestant.name] = found.note
    series = {
        name: Series(name=name, samples=tuple(each), problem=problems.get(name, ""), note=notes.get(name, ""))
        for name, each in samples.items()
    }
    ours = series[workload.ours.name]
    if not workload.peers:
        return [Row(workload=workload, ours=ours)]
    return [
        Row(workload=workload, peer=peer, ours=ours, theirs=series[peer.contestant.name]) for peer in workload.peers
    ]


def sample_once(contestant: Contestant, repetition: int, home: Path | None, taken: Samples) -> Sample | BadSample:
    key = (contestant.command, repetition)
    if contestant.clock is Clock.INSIDE and key in taken:
        return taken[key]
    try:
        taken[key] = sample(contestant, home)
    except BadSample as error:
        taken[key] = error
    return taken[key]


def sample(contestant: Contestant, home: Path | None) -> Sample:
    if home is not None:
        return timed(contestant, home)
    with new_home() as fresh:
        return timed(contestant, fresh)


def timed(contestant: Contestant, home: Path) -> Sample:
    ours = {"VOLANT_HOME": str(home), "BENCHMARK_SCRATCH": str(home), "NO_COLOR": "1", "TERM": "dumb"}
    # Where bytecode is not kept, every start compiles what it imports, and that is all that would be measured.
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment = {**inherited, **ours, **contestant.environment}
    start = time.perf_counter()
    try:
        done = subprocess.run(
            contestant.command,
            cwd=contestant.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE.total_seconds(),
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise BadSample(f"did not end within {PATIENCE.total_seconds():.0f} s") from None
    except OSError as error:
        raise BadSample(f"could not be started: {error}") from error
    took = time.perf_counter() - start
    if done.returncode or contestant.must_print not in done.stdout:
        said = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()[-1]
        raise BadSample(f"ended with {done.returncode} and said: {said}")
    if contestant.clock is Clock.OUTSIDE:
        return Sample({contestant.figure: took})
    try:
        printed = json.loads(done.stdout.strip().splitlines()[-1])
        note = str(printed.pop("note", ""))
        return Sample({name: float(figure) for name, figure in printed.items()}, note)
    except (IndexError, ValueError, AttributeError, TypeError):
        raise BadSample(f"printed no figure, but: {done.stdout.strip()[-200:]!r}") from None


@contextmanager
def new_home() -> Generator[Path]:
    """A folder for one home; the engine that was started there is stopped before it is removed."""
    HOMES.mkdir(exist_ok=True)
    home = Path(tempfile.mkdtemp(prefix="b", dir=HOMES))
    try:
        yield home
    finally:
        if any(home.iterdir()):
            stop = [VOLANT, "engine", "stop"]
            subprocess.run(stop, env=os.environ | {"VOLANT_HOME": str(home)}, capture_output=True, check=False)
        shutil.rmtree(home, ignore_errors=True)


def rotated(contestants: Sequence[Contestant], turn: int) -> Iterable[Contestant]:
    """Who goes first changes every time: the one after a heavy neighbour finds a hotter, fuller machine."""
    first = turn % len(contestants)
    return [*contestants[first:], *contestants[:first]]


def in_unit(figure: float, unit: Unit) -> float:
    return figure * 1000 if unit is Unit.MILLISECONDS else figure
