"""What a benchmark is made of: contestants, the workloads they meet in, and what came out."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median


class Clock(enum.Enum):
    """Who holds the stopwatch."""

    OUTSIDE = "the wall time of the whole command, in seconds"
    INSIDE = "the command prints its own figure, as the last line: {'figure': 1.5}"


class Home(enum.Enum):
    """The home that a contestant finds; a peer keeps what it must keep in the same folder."""

    FRESH = "a new one for every sample, with no engine running"
    WARM = "one for all samples, whose engine runs and has run this program before"


class Unit(enum.Enum):
    PER_SECOND = "/s"
    KIBIBYTES_PER_THOUSAND = "KiB per 1,000"
    SECONDS = "s"
    MILLISECONDS = "ms"
    MEBIBYTES = "MiB"

    @property
    def more_is_better(self) -> bool:
        return self is Unit.PER_SECOND


@dataclass(frozen=True, kw_only=True)
class Contestant:
    name: str
    command: tuple[str, ...]
    folder: Path
    """Where the command is started."""
    clock: Clock
    home: Home = Home.FRESH
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    must_print: str = ""
    """Text without which a sample does not count: a command that did nothing is fast."""
    figure: str = "figure"
    """Which of the figures that it prints counts, where it holds the stopwatch. It is run once for all of them."""


@dataclass(frozen=True, kw_only=True)
class Peer:
    contestant: Contestant
    ratio: float | None = None
    """The bound on ours divided by this peer's, where TARGETS sets one."""


@dataclass(frozen=True, kw_only=True)
class Workload:
    target: str
    """The row of the table of targets that this measures: P2, P3, ..."""
    title: str
    unit: Unit
    ours: Contestant
    peers: tuple[Peer, ...] = ()
    bound: float | None = None
    """The bound on our own figure, where one is set."""
    at_most: int | None = None
    """So many samples are enough, where one takes long."""


@dataclass(frozen=True, kw_only=True)
class Series:
    """The samples of one contestant; of one that could not run, the reason."""

    name: str
    samples: tuple[float, ...] = ()
    problem: str = ""
    note: str = ""
    """What the last sample said beside its figures."""

    @property
    def figure(self) -> float | None:
        return median(self.samples) if self.samples and not self.problem else None


@dataclass(frozen=True, kw_only=True)
class Row:
    """Ours beside one peer, or alone where nobody else does such a thing."""

    workload: Workload
    peer: Peer | None = None
    ours: Series
    theirs: Series | None = None

    @property
    def ratio(self) -> float | None:
        if self.ours.figure is None or self.theirs is None or self.theirs.figure is None:
            return None
        return self.ours.figure / self.theirs.figure

    @property
    def ratio_bound(self) -> float | None:
        return None if self.peer is None else self.peer.ratio

    @property
    def met(self) -> bool | None:
        """Whether every bound holds; None where there is no bound, or nothing to hold against it."""
        more_is_better = self.workload.unit.more_is_better
        bounds = ((self.ours.figure, self.workload.bound), (self.ratio, self.ratio_bound))
        verdicts = [
            None if found is None else (found >= bound if more_is_better else found <= bound)
            for found, bound in bounds
            if bound is not None
        ]
        if False in verdicts:
            return False
        return None if None in verdicts or not verdicts else True
