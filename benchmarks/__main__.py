"""Choose workloads, measure them, show the table."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from benchmarks import environments, reporting
from benchmarks.model import Row, Workload
from benchmarks.running import ROOT, Samples, measure
from benchmarks.workloads import RUNS, SLEEPS, WORKLOADS, many_runs, sleeping

BUSY = 1.0
"""A load average, one minute back: somebody else was using more than a core."""


def main(argv: Sequence[str] | None = None) -> int:
    known = sorted({workload.target for workload in WORKLOADS})
    parser = argparse.ArgumentParser(prog="benchmarks", description="Measure Volant beside its peers.")
    parser.add_argument("--only", default=",".join(known), help=f"which targets, of {','.join(known)}")
    parser.add_argument("--reps", type=int, default=5, help="samples of each contestant (default 5)")
    parser.add_argument(
        "--full", action="store_true", help="P5 and P6 at the size of their targets, not at a tenth of it"
    )
    options = parser.parse_args(argv)
    chosen: list[str] = options.only.upper().split(",")
    repetitions: int = options.reps
    if unknown := set(chosen) - set(known):
        parser.error(f"--only: found {','.join(sorted(unknown))}, wanted some of {','.join(known)}")
    if repetitions < 1:
        parser.error(f"--reps: found {repetitions}, wanted 1 or more")

    workloads = [workload for workload in WORKLOADS if workload.target in chosen]
    if options.full:
        workloads = [workload for workload in workloads if workload.target not in ("P5", "P6")]
        workloads += many_runs(10 * RUNS) if "P5" in chosen else ()
        workloads += sleeping(10 * SLEEPS) if "P6" in chosen else ()
    unavailable = install_peers(workloads)
    load, _, _ = os.getloadavg()
    rows: list[Row] = []
    taken: Samples = {}
    for workload in workloads:
        rounds = min(repetitions, workload.at_most or repetitions)
        print(f"bench: {workload.target}, {workload.title} (rounds: {rounds})", flush=True)
        rows += measure(workload, repetitions, unavailable, taken)
    now = datetime.now(UTC)
    file = reporting.save(rows, ROOT / "benchmarks" / "results", now=now, repetitions=repetitions, load=load)
    print(f"\n{reporting.table(rows)}")
    if load > BUSY:
        print(f"note: the machine was busy before this began (load {load:.1f}), so no figure here is worth keeping")
    print(f"\nEvery sample is in {file.relative_to(ROOT)}.")
    return 1 if any(row.ours.problem for row in rows) else 0


def install_peers(workloads: Sequence[Workload]) -> dict[str, str]:
    """Install whom the workloads need; for each contestant that cannot run, say why."""
    unavailable: dict[str, str] = {}
    for peer in environments.PINNED:
        inside = str(environments.folder_of(peer))
        needing = [p.contestant for w in workloads for p in w.peers if p.contestant.command[0].startswith(inside)]
        if needing:
            try:
                environments.ensure(peer)
            except environments.NoEnvironment as error:
                unavailable |= {contestant.name: str(error) for contestant in needing}
    return unavailable


if __name__ == "__main__":
    sys.exit(main())
