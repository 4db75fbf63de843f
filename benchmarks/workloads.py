"""The workloads, the contestants of each, and the targets that the project set itself."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from benchmarks.environments import folder_of
from benchmarks.model import Clock, Contestant, Home, Peer, Unit, Workload
from benchmarks.running import ROOT, VOLANT

PROGRAMS = Path(__file__).resolve().parent / "programs"
PEERS = Path(__file__).resolve().parent / "peers"


def ours(program: str, *arguments: str, figure: str = "figure") -> Contestant:
    return Contestant(
        name="volant",
        command=(sys.executable, program, *arguments),
        folder=PROGRAMS,
        clock=Clock.INSIDE,
        figure=figure,
    )


def module(name: str, *arguments: str, figure: str = "figure") -> Contestant:
    """A program that starts and ends what it measures, from outside."""
    return Contestant(
        name="volant",
        command=(sys.executable, "-m", f"benchmarks.{name}", *arguments),
        folder=ROOT,
        clock=Clock.INSIDE,
        figure=figure,
    )


def theirs(peer: str, name: str, *arguments: str) -> Contestant:
    """A peer's program, which measures itself, run by the peer's own interpreter."""
    return Contestant(
        name=name,
        command=(str(folder_of(peer) / "bin" / "python"), f"{peer}_program.py", *arguments),
        folder=PEERS,
        clock=Clock.INSIDE,
        environment={"RAY_USAGE_STATS_ENABLED": "0"},
    )


def whole(name: str, *command: str, folder: Path, must_print: str, home: Home = Home.FRESH) -> Contestant:
    """A command whose wall time counts, from its start to its end."""
    return Contestant(name=name, command=command, folder=folder, clock=Clock.OUTSIDE, must_print=must_print, home=home)


def imports(package: str, python: str) -> Contestant:
    # What a program uses first is part of the price, or a package that imports lazily would hide it.
    code = f"import {package}; print({package}.TaskEnvironment.__name__)"
    return whole(f"import {package}", python, "-c", code, folder=PROGRAMS, must_print="TaskEnvironment")


FLYTE = str(folder_of("flyte") / "bin" / "flyte")
FLYTE_PYTHON = str(folder_of("flyte") / "bin" / "python")
FLYTE_RUN = whole(
    "flyte run --local", FLYTE, "run", "--local", "flyte_hello.py", "main", folder=PEERS, must_print="hello, world"
)
FLYTE_HELP = whole("flyte --help", FLYTE, "--help", folder=PEERS, must_print="run")


def volant_run(home: Home) -> Contestant:
    return whole("volant run", VOLANT, "run", "hello.py", "main", folder=PROGRAMS, must_print="hello, world", home=home)


def bare_forks(count: int, figure: str) -> Contestant:
    return Contestant(
        name="bare forks",
        command=(sys.executable, "bare_forks.py", str(count), figure),
        folder=PROGRAMS,
        clock=Clock.INSIDE,
    )


def bare_sleeps(count: int, figure: str) -> Contestant:
    return Contestant(
        name="asyncio, in memory",
        command=(sys.executable, "bare_sleeps.py", str(count), figure),
        folder=PROGRAMS,
        clock=Clock.INSIDE,
    )


def sleeping(count: int) -> tuple[Workload, ...]:
    """P6 with so many durable sleeps of one run."""
    return (
        Workload(
            target="P6",
            title=f"{count:,} durable sleeps of one run, how late their ends are told (p99)",
            unit=Unit.SECONDS,
            ours=ours("sleeps.py", str(count), figure="late"),
            peers=(Peer(contestant=bare_sleeps(count, "late")),),
            bound=1.0,
        ),
        Workload(
            target="P6",
            title=f"{count:,} durable sleeps of one run, the memory of the engine that holds them",
            unit=Unit.MEBIBYTES,
            ours=ours("sleeps.py", str(count), figure="memory"),
            peers=(Peer(contestant=bare_sleeps(count, "memory")),),
            bound=500.0,
        ),
    )


SLEEPS = 8_000
"""A tenth of the target's number."""


def many_runs(runs: int) -> tuple[Workload, ...]:
    """P5 with so many runs of 2,000 actions, on one engine."""
    title = f"{runs} runs x 2,000 no-op actions, inline"

    def one(what: str, unit: Unit, figure: str, bound: float | None) -> Workload:
        program = ours("runs.py", str(runs), "2000", "inline", figure=figure)
        return Workload(target="P5", title=f"{title}, {what}", unit=unit, ours=program, bound=bound, at_most=1)

    return (
        one("all of them", Unit.SECONDS, "seconds", None),
        one("memory of the engine", Unit.MEBIBYTES, "memory", 400.0),
        one("whether what it holds is flat", Unit.KIBIBYTES_PER_THOUSAND, "growth", FLAT),
    )


RUNS = 10
"""A tenth of the target's number."""
FLAT = 10.0
"""KiB per 1,000 actions: 10 bytes each, which no object is."""


def dying(size: int) -> tuple[Workload, ...]:
    """P7 with so many actions in one run."""
    title = f"{size:,} actions, kill -9"
    return (
        Workload(
            target="P7",
            title=f"{title} the engine, until the next one dispatches",
            unit=Unit.SECONDS,
            ours=module("resuming", str(size), figure="engine"),
            bound=1.0,
            at_most=1,
        ),
        Workload(
            target="P7",
            title=f"{title} everything, until a resume dispatches",
            unit=Unit.SECONDS,
            ours=module("resuming", str(size), figure="everything"),
            bound=1.0,
            at_most=1,
        ),
    )


DYING = 10_000

WORKLOADS = (
    Workload(
        target="P2",
        title="2,000 actions at once, each in its own process",
        unit=Unit.PER_SECOND,
        ours=ours("fanout.py", "2000"),
        peers=(Peer(contestant=bare_forks(2000, "rate"), ratio=0.6),),
    ),
    Workload(
        target="P2",
        title="the same with the journal on Postgres, beside SQLite",
        unit=Unit.PER_SECOND,
        ours=module("on_postgres", "2000"),
        peers=(Peer(contestant=replace(ours("fanout.py", "2000"), name="volant, sqlite"), ratio=1 / 3),),
        at_most=3,
    ),
    Workload(
        target="P3",
        title="a chain of 300 actions, isolated, median of each",
        unit=Unit.MILLISECONDS,
        ours=ours("chain.py", "300"),
        peers=(
            Peer(contestant=bare_forks(300, "median")),
            Peer(contestant=theirs("flyte", "flyte local", "chain", "300")),
            Peer(contestant=theirs("ray", "ray actor", "300")),
            Peer(contestant=theirs("dbos", "dbos step, sqlite", "300")),
        ),
        bound=5.0,
    ),
    Workload(
        target="P4",
        title="6,000 leaves in one run, isolated, from call to result",
        unit=Unit.SECONDS,
        ours=ours("leaves.py", "6000"),
        peers=(
            Peer(contestant=bare_forks(6000, "sum")),
            Peer(contestant=theirs("flyte", "flyte local", "leaves", "6000")),
        ),
        bound=10.0,
    ),
    *many_runs(RUNS),
    *sleeping(SLEEPS),
    *dying(DYING),
    Workload(
        target="P8",
        title="import",
        unit=Unit.SECONDS,
        ours=imports("volant", sys.executable),
        peers=(Peer(contestant=imports("flyte", FLYTE_PYTHON), ratio=0.6),),
        bound=0.15,
    ),
    Workload(
        target="P8",
        title="help",
        unit=Unit.SECONDS,
        ours=whole("volant --help", VOLANT, "--help", folder=PROGRAMS, must_print="run"),
        peers=(Peer(contestant=FLYTE_HELP, ratio=0.6),),
        bound=0.25,
    ),
    Workload(
        target="P8",
        title="run hello.py, new home, no engine",
        unit=Unit.SECONDS,
        ours=volant_run(Home.FRESH),
        peers=(Peer(contestant=FLYTE_RUN, ratio=0.6),),
        bound=0.8,
    ),
    Workload(
        target="P8",
        title="run hello.py, engine running",
        unit=Unit.SECONDS,
        ours=volant_run(Home.WARM),
        peers=(Peer(contestant=FLYTE_RUN, ratio=0.6),),
        bound=0.35,
    ),
)
