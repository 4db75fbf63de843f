"""The table that people read and the file that programs read."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from benchmarks.environments import PINNED
from benchmarks.model import Row, Series, Unit, Workload

HEADINGS = ("", "workload", "ours", "peer", "", "ratio", "target", "")


def table(rows: Sequence[Row]) -> str:
    cells = [HEADINGS, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(HEADINGS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]
    shown = [series for row in rows for series in (row.ours, row.theirs) if series is not None]
    problems = sorted({f"{series.name} {series.problem}" for series in shown if series.problem})
    notes = dict.fromkeys(f"{row.workload.target}: {row.ours.note}" for row in rows if row.ours.note)
    return "\n".join([*lines, *notes, *(f"note: {problem}" for problem in problems)])


def _cells(row: Row) -> tuple[str, ...]:
    unit = row.workload.unit
    verdict = {True: "met", False: "MISSED", None: "not measured" if targets(row) else ""}[row.met]
    return (
        row.workload.target,
        row.workload.title,
        figure(row.ours, unit),
        "-" if row.theirs is None else figure(row.theirs, unit),
        "-" if row.theirs is None else row.theirs.name,
        "-" if row.ratio is None else f"{row.ratio:.2f}",
        targets(row),
        verdict,
    )


def figure(series: Series, unit: Unit) -> str:
    found = series.figure
    if found is None:
        return "did not run"
    return f"{found:,.0f} {unit.value}" if found >= 100 else f"{found:.3g} {unit.value}"


def targets(row: Row) -> str:
    sign = ">=" if row.workload.unit.more_is_better else "<="
    bound, ratio = row.workload.bound, row.ratio_bound
    said = [
        f"{sign} {bound:g} {row.workload.unit.value}" if bound is not None else "",
        f"ratio {sign} {ratio:.2g}" if ratio is not None else "",
    ]
    return ", ".join(filter(None, said))


def save(rows: Sequence[Row], folder: Path, *, now: datetime, repetitions: int, load: float) -> Path:
    """Write every sample to a new file in *folder*, with what is needed to judge it."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{now:%Y%m%dT%H%M%SZ}.json"
    machine = {"cores": os.cpu_count(), "machine": platform.machine(), "system": platform.system()}
    document = {
        "at": now.isoformat(),
        "repetitions": repetitions,
        "python": platform.python_version(),
        "machine": machine,
        "load_before": load,
        "peers": PINNED,
        "rows": [_record(row) for row in rows],
    }
    file.write_text(json.dumps(document, indent=2) + "\n")
    return file


def _record(row: Row) -> dict[str, object]:
    workload: Workload = row.workload
    return {
        "target": workload.target,
        "workload": workload.title,
        "unit": workload.unit.value,
        "ours": _series(row.ours),
        "peer": None if row.theirs is None else _series(row.theirs),
        "ratio": row.ratio,
        "bound": workload.bound,
        "ratio_bound": row.ratio_bound,
        "met": row.met,
    }


def _series(series: Series) -> dict[str, object]:
    return {
        "name": series.name,
        "median": series.figure,
        "samples": series.samples,
        "problem": series.problem or None,
        "note": series.note or None,
    }
