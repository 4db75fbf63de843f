"""What the journal costs, and what it would cost if it were built otherwise.

    python benchmarks/journal.py                     the journal as it is, then the alternatives
    python benchmarks/journal.py --only postgres     the journal on SQLite and on Postgres, and P2's fan-out on both
    python benchmarks/journal.py --history 1000000   questions to a long history as well

Figures depend on the disk and on who else uses the machine; the ratios are what to look at.
"""

import argparse
import asyncio
import json
import os
import queue
import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec

from volant.decide.placement import Capacity
from volant.engine.engine import Engine
from volant.engine.lookups import Lookups
from volant.journal.postgres import PostgresJournal
from volant.journal.rows import ActionBytes, action_row
from volant.journal.sole_leases import SoleLeases
from volant.journal.sqlite import SqliteJournal
from volant.journal.sqlite.opening import CHECKPOINT_PAGES
from volant.journal.sqlite.thread import LoopThread
from volant.kit.clock import LoopClock
from volant.model.control_protocol import GetAction, ListRuns, ListSummaries, ListTasks
from volant.model.errors import VolantError
from volant.model.ids import RunId, SpecDigest
from volant.model.payloads import Inline
from volant.model.phases import ActionPhase
from volant.model.records import Batch, Change, ChangeKind, SpecRecord
from volant.ports.journal import Journal, RunFilter
from volant.testing.journal import START, action_id, sample_action, sample_attempt, sample_change, sample_run
from volant.testing.postgres_server import PostgresServer
from volant.testing.scripted_launcher import scripted_spec

_replace = msgspec.structs.replace


def life(run: str, number: int, seq: Iterator[int]) -> tuple[Batch, Batch, Batch]:
    """The three batches of an action: created, started, ended; nine rows."""
    created = sample_action(number, run=run)
    running = _replace(created, phase=ActionPhase.RUNNING, attempts=1, started_at=START)
    ended = _replace(
        running, phase=ActionPhase.SUCCEEDED, ended_at=START, outcome_seq=number, outputs=Inline(data=b"x" * 30)
    )
    attempt = sample_attempt(number, run=run, host="node", pid=number, log=f"runs/{run}/{number}.log")

    def change(kind: ChangeKind) -> Change:
        return sample_change(next(seq), run=run, kind=kind, action=created.action, parent=created.parent, name="delays")

    return (
        Batch(actions=(created,), changes=(change(ChangeKind.ACTION_CREATED),)),
        Batch(actions=(running,), attempts=(attempt,), changes=(change(ChangeKind.ATTEMPT_STARTED),)),
        Batch(
            actions=(ended,),
            attempts=(_replace(attempt, phase=ActionPhase.SUCCEEDED, ended_at=START),),
            changes=(change(ChangeKind.ACTION_ENDED),),
        ),
    )


def counter() -> Iterator[int]:
    number = 0
    while True:
        number += 1
        yield number


class Store(Protocol):
    """A kind of journal; each name is one of its own."""

    async def __call__(self, name: str) -> Journal: ...


def on_sqlite(place: Path) -> Store:
    async def opened(name: str) -> Journal:
        return await SqliteJournal.open(place / f"{name}.db")

    return opened


def on_postgres(server: PostgresServer) -> Store:
    async def opened(name: str) -> Journal:
        return await PostgresJournal.open(server.new_database(), owner=name)

    return opened


async def lives(store: Store, *, actions: int, at_once: int, eager: bool) -> float:
    """*at_once* parents that each await one child after the other.

    *eager*: the batches of an action are given together, as when it ends before the disk has answered once.
    """
    journal = await store(f"lives-{at_once}-{eager}")
    await journal.commit(Batch(runs=(sample_run(),)))
    numbers, seq = iter(range(1, actions + 1)), counter()
    waits: list[float] = []

    async def parent() -> None:
        for number in numbers:
            if eager:
                # Made together, so that other parents' changes do not come between.
                *_, last = [journal.commit(batch) for batch in life("r1", number, seq)]
                await last
                continue
            a = sample_action(number)
            for phase, kind in (
                (ActionPhase.QUEUED, ChangeKind.ACTION_CREATED),
                (ActionPhase.RUNNING, ChangeKind.ATTEMPT_STARTED),
                (ActionPhase.SUCCEEDED, ChangeKind.ACTION_ENDED),
            ):
                attempts = () if phase is ActionPhase.QUEUED else (sample_attempt(number, phase=phase, pid=number),)
                change = sample_change(next(seq), kind=kind, action=a.action, parent=a.parent, name="delays")
                given = time.perf_counter()
                await journal.commit(Batch(actions=(_replace(a, phase=phase),), attempts=attempts, changes=(change,)))
                waits.append(time.perf_counter() - given)

    wall, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(parent() for _ in range(at_once)))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    await journal.close()
    told = ""
    if waits:
        cuts = statistics.quantiles(waits, n=100)
        told = f", told after p50 {cuts[49] * 1e3:.2f} ms, p99 {cuts[98] * 1e3:.2f} ms"
    kind = "3 batches at once" if eager else "3 commits in turn"
    print(
        f"  {at_once:5} at once, {kind}: {actions / wall:8.0f} actions/s, CPU {cpu / actions * 1e6:6.1f} us each{told}"
    )
    return actions / wall


def fan_out(place: Path, rounds: int, actions: int) -> None:
    """P2's workload: each action in a process of its own, on an engine that is warm."""
    with PostgresServer.start(durable=True) as server:
        homes = {"SQLite": place / "sqlite", "Postgres": place / "postgres"}
        database = server.new_database()
        rates: dict[str, list[float]] = {name: [] for name in homes}
        for turn in range(rounds + 1):
            for name, home in homes.items():
                environ = {**os.environ, "VOLANT_HOME": str(home)}
                if name == "Postgres":
                    environ["VOLANT_DATABASE"] = database
                command = [sys.executable, str(Path(__file__).with_name("programs") / "fanout.py"), str(actions)]
                done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
                if turn:
                    rates[name].append(json.loads(done.stdout.splitlines()[-1])["figure"])
        for name, home in homes.items():
            subprocess.run(
                [sys.executable, "-m", "volant", "--home", str(home), "engine", "stop"], check=True, capture_output=True
            )
            shown = ", ".join(f"{rate:.0f}" for rate in rates[name])
            print(f"  {name:9} {statistics.median(rates[name]):7.0f} actions/s (of {shown})")


class Layout(NamedTuple):
    """A way to key the rows."""

    schema: str
    action: str
    attempt: str


_INDEXES = "CREATE INDEX p ON actions (run, parent, phase{0}); CREATE INDEX f ON actions (run, phase{0});"
_CHANGES = "CREATE TABLE changes (key INTEGER PRIMARY KEY, body BLOB) STRICT;"
_COLUMNS = "parent BLOB, task TEXT, phase INTEGER, created_at INTEGER, ended_at INTEGER, outcome INTEGER, body BLOB"
_UPSERT = (
    "INSERT INTO actions VALUES (:key, :run, :action, :parent, :task, :phase, 1, 2, 3, :body)"
    " ON CONFLICT ({0}) DO UPDATE SET phase = excluded.phase, ended_at = excluded.ended_at,"
    " outcome = excluded.outcome, body = excluded.body"
)
_KEYED = f"CREATE TABLE actions (key INTEGER PRIMARY KEY, run {{0}}, action {{1}}, {_COLUMNS}) STRICT;"
LAYOUTS = {
    "integer keys (as it is)": Layout(
        _KEYED.format("INTEGER", "BLOB")
        + "CREATE UNIQUE INDEX u ON actions (run, action);"
        + "CREATE TABLE attempts (key INTEGER, attempt INTEGER, body BLOB, PRIMARY KEY (key, attempt))"
        + " STRICT, WITHOUT ROWID;"
        + _INDEXES.format("")
        + _CHANGES,
        _UPSERT.format("key"),
        "INSERT INTO attempts VALUES (:key,0,:body) ON CONFLICT DO UPDATE SET body = excluded.body",
    ),
    "random ids, unique index": Layout(
        _KEYED.format("INTEGER", "BLOB")
        + "CREATE UNIQUE INDEX u ON actions (run, action);"
        + "CREATE TABLE attempts (run INTEGER, action BLOB, attempt INTEGER, body BLOB,"
        + " PRIMARY KEY (run, action, attempt)) STRICT, WITHOUT ROWID;"
        + _INDEXES.format("")
        + _CHANGES,
        _UPSERT.format("run, action"),
        "INSERT INTO attempts VALUES (:run,:action,0,:body) ON CONFLICT DO UPDATE SET body = excluded.body",
    ),
    "random ids, WITHOUT ROWID": Layout(
        f"CREATE TABLE actions (key INTEGER, run INTEGER, action BLOB, {_COLUMNS}, PRIMARY KEY (run, action))"
        + " STRICT, WITHOUT ROWID; CREATE INDEX o ON actions (run, key);"
        + "CREATE TABLE attempts (run INTEGER, action BLOB, attempt INTEGER, body BLOB,"
        + " PRIMARY KEY (run, action, attempt)) STRICT, WITHOUT ROWID;"
        + _INDEXES.format(", key")
        + _CHANGES,
        _UPSERT.format("run, action"),
        "INSERT INTO attempts VALUES (:run,:action,0,:body) ON CONFLICT DO UPDATE SET body = excluded.body",
    ),
}
INSERT_CHANGE = "INSERT INTO changes VALUES (:key, :body)"


class Cost(NamedTuple):
    statements: float
    """Microseconds of the loop's thread per action."""
    commits: float
    """Microseconds of waiting for the disk per action."""
    size: int


def write_layout(
    path: Path, layout: Layout, *, actions: int, group: int, page_size: int = 4096, many: bool = True
) -> Cost:
    """Each action is created, started and ended in three groups that follow one another."""
    db = sqlite3.connect(path, isolation_level=None)
    for pragma in (
        f"page_size = {page_size}",
        "journal_mode = WAL",
        "synchronous = FULL",
        f"wal_autocheckpoint = {CHECKPOINT_PAGES * 4096 // page_size}",
        "cache_size = -65536",
    ):
        db.execute(f"PRAGMA {pragma}")
    db.executescript(layout.schema)
    rng = random.Random(1)
    ids = [rng.randbytes(16) for _ in range(actions)]
    body, seq, statements, commits = rng.randbytes(150), counter(), 0.0, 0.0
    groups = -(-actions // group)
    for turn in range(groups + 2):
        rows: list[dict[str, object]] = []
        attempts: list[dict[str, object]] = []
        changes: list[dict[str, object]] = []
        for age, phase in enumerate((1, 4, 11)):
            start = (turn - age) * group
            for number in range(max(start, 0), min(start + group, actions)) if start >= 0 else ():
                row = {"key": number, "run": 7, "action": ids[number], "parent": ids[0], "task": "flights.delays"}
                rows.append({**row, "phase": phase, "body": body})
                if phase > 1:
                    attempts.append({"key": number, "run": 7, "action": ids[number], "body": body[:60]})
                changes.append({"key": next(seq), "body": body[:60]})
        started = time.perf_counter()
        db.execute("BEGIN IMMEDIATE")
        for statement, values in ((layout.action, rows), (layout.attempt, attempts), (INSERT_CHANGE, changes)):
            if many:
                db.executemany(statement, values)
            else:
                for value in values:
                    db.execute(statement, value)
        executed = time.perf_counter()
        db.execute("COMMIT")
        statements += executed - started
        commits += time.perf_counter() - executed
    db.close()
    return Cost(statements / actions * 1e6, commits / actions * 1e6, path.stat().st_size)


def compare_layouts(place: Path, actions: int) -> None:
    variants: list[tuple[str, Callable[[Path], Cost]]] = [
        (name, partial(write_layout, layout=layout, actions=actions, group=200)) for name, layout in LAYOUTS.items()
    ]
    first = LAYOUTS["integer keys (as it is)"]
    variants += [
        ("pages of 8 KiB", partial(write_layout, layout=first, actions=actions, group=200, page_size=8192)),
        ("pages of 16 KiB", partial(write_layout, layout=first, actions=actions, group=200, page_size=16384)),
        ("execute, not executemany", partial(write_layout, layout=first, actions=actions, group=200, many=False)),
    ]
    base: Cost | None = None
    for number, (name, write) in enumerate(variants):
        cost = write(place / f"layout-{number}.db")
        base = base or cost
        print(
            f"  {name:28} statements {cost.statements:6.1f} us ({cost.statements / base.statements:4.2f}x), "
            f"commits {cost.commits:6.1f} us ({cost.commits / base.commits:4.2f}x), {cost.size / actions:5.0f} bytes"
        )


def compare_encodings() -> None:
    record = life("r1", 5, counter())[2].actions[0]
    as_map, as_json = msgspec.msgpack.Encoder().encode, msgspec.json.Encoder().encode
    variants: list[tuple[str, Callable[[], object], int]] = [
        (
            "columns and a msgpack array",
            lambda: action_row(record, ActionBytes()),
            len(action_row(record, ActionBytes())[-1]),
        ),
        ("the record as a msgpack map", lambda: as_map(record), len(as_map(record))),
        ("the record as JSON (msgspec)", lambda: as_json(record), len(as_json(record))),
        ("a dict as JSON (json)", lambda: json.dumps(msgspec.to_builtins(record)), len(as_json(record))),
    ]
    base = 0.0
    for name, encode, size in variants:
        started = time.perf_counter()
        for _ in range(20_000):
            encode()
        cost = (time.perf_counter() - started) / 20_000
        base = base or cost
        print(f"  {name:28} {cost * 1e6:6.2f} us ({cost / base:4.2f}x), {size:4} bytes of body")


async def compare_threads(place: Path) -> None:
    """Groups of 200 rows, while the loop has work of its own all the time, in turns of some 100 us."""
    kinds: dict[str, tuple[type[LoopThread | PlainThread], bool]] = {
        "COMMIT in a LoopThread (as it is)": (LoopThread, False),
        "COMMIT in a plain thread": (PlainThread, False),
        "all statements in a plain thread": (PlainThread, True),
    }
    for name, (kind, statements_too) in kinds.items():
        rows, turns, waits = await beside_a_busy_loop(place / f"{name}.db", kind("bench"), statements_too)
        print(
            f"  {name:34} {rows:8.0f} rows/s while the loop turned {turns:6.0f} times a second, "
            f"a commit took p50 {statistics.median(waits) * 1e3:6.1f} ms, worst {max(waits) * 1e3:6.1f} ms"
        )


class PlainThread:
    """What one would write first."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        threading.Thread(target=self._serve, name=name, daemon=True).start()

    def run(self, work: Callable[[], object], then: Callable[[object, Exception | None], object]) -> None:
        def job() -> None:
            work()
            self._loop.call_soon_threadsafe(then, None, None)

        self._jobs.put(job)

    def stop(self) -> None:
        self._jobs.put(None)

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()


async def beside_a_busy_loop(
    path: Path, thread: LoopThread | PlainThread, statements_too: bool, seconds: float = 3
) -> tuple[float, float, list[float]]:
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("CREATE TABLE t (key INTEGER PRIMARY KEY, body BLOB) STRICT")
    keys, body, turns = counter(), os.urandom(100), 0
    waits: list[float] = []

    def execute() -> None:
        db.execute("BEGIN IMMEDIATE")
        db.executemany("INSERT INTO t VALUES (?, ?)", [(next(keys), body) for _ in range(200)])

    def commit() -> None:
        db.execute("COMMIT")

    def both() -> None:
        execute()
        commit()

    def announce(done: asyncio.Event, _result: object, _error: Exception | None) -> None:
        done.set()

    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        done = asyncio.Event()
        began = time.perf_counter()
        if not statements_too:
            execute()
        thread.run(both if statements_too else commit, partial(announce, done))
        while not done.is_set():
            sum(range(10_000))
            turns += 1
            await asyncio.sleep(0)
        waits.append(time.perf_counter() - began)
    thread.stop()
    db.close()
    return len(waits) * 200 / seconds, turns / seconds, waits


async def questions(store: Store, history: int) -> None:
    """Lists and details over a history of so many actions: a long run, and runs of 2,000 actions."""
    journal = await store("history")
    sizes = [history // 2] + [2000] * (history // 2 // 2000)
    started = time.perf_counter()
    for index, size in enumerate(sizes):
        name, seq = f"run-{index:05}", counter()
        run = sample_run(name, age=index, labels={"team": f"t{index % 7}"}, task=f"t{index % 5}.main")
        await journal.commit(Batch(runs=(run,)))
        for low in range(0, size, 1000):
            lives = [life(name, number, seq) for number in range(low, min(low + 1000, size))]
            receipts = [journal.commit(batch) for batches in lives for batch in batches]
            await receipts[-1]
        await journal.commit(Batch(runs=(_replace(run, phase=ActionPhase.SUCCEEDED),)))
    body = msgspec.msgpack.encode(scripted_spec("main"))
    uses = [START + timedelta(seconds=each) for each in range(_SPECS)]
    specs = [SpecRecord(spec=SpecDigest(f"{each:064x}"), body=body, used_at=at) for each, at in enumerate(uses)]
    await journal.commit(Batch(specs=tuple(specs)))
    print(f"  wrote {sum(sizes)} actions in {time.perf_counter() - started:.0f} s")
    long, short, middle = RunId("run-00000"), RunId("run-00001"), sizes[0] // 2
    asked: dict[str, Callable[[], Awaitable[object]]] = {
        "runs": lambda: journal.runs(RunFilter()),
        "runs by task, phase and label": lambda: journal.runs(
            RunFilter(task="t1.main", phases=(ActionPhase.SUCCEEDED,), labels=(("team", "t1"),))
        ),
        "runs since": lambda: journal.runs(RunFilter(since=START + timedelta(seconds=5))),
        "runs by prefix": lambda: journal.matching_runs("run-000"),
        "unfinished runs": journal.unfinished_runs,
        "one action": lambda: journal.action(long, action_id(middle)),
        "its attempts": lambda: journal.attempts(long, action_id(middle)),
        "100 actions in the middle": lambda: journal.actions(long, after=middle, limit=100),
        "1000 actions in the middle": lambda: journal.actions(long, after=middle, limit=1000),
        "100 children": lambda: journal.actions(long, parent=action_id(0), after=middle, limit=100),
        "failed ones (none)": lambda: journal.actions(long, phases=(ActionPhase.FAILED,), limit=100),
        "failed children (none)": lambda: journal.actions(
            long, parent=action_id(0), phases=(ActionPhase.FAILED,), limit=100
        ),
        "count of the long run": lambda: journal.count_actions(long),
        "count of a short run": lambda: journal.count_actions(short),
        "100 changes": lambda: journal.changes(long, after=middle, limit=100),
    }
    asked |= commands(journal, long)
    for name, ask in asked.items():
        waits: list[float] = []
        for _ in range(40):
            began = time.perf_counter()
            await ask()
            waits.append(time.perf_counter() - began)
        p50, p95 = statistics.median(waits) * 1e3, statistics.quantiles(waits, n=20)[-1] * 1e3
        print(f"  {name:36} p50 {p50:7.2f} ms, p95 {p95:7.2f} ms, worst {max(waits) * 1e3:7.2f} ms")
    began = time.perf_counter()
    await journal.delete_run(long)
    print(f"  deleting the long run took {time.perf_counter() - began:.1f} s")
    await journal.close()


def commands(journal: Journal, run: RunId) -> dict[str, Callable[[], Awaitable[object]]]:
    """What the commands ask the engine, its answers encoded."""
    engine = Engine(
        journal=journal,
        clock=LoopClock(),
        capacity=Capacity(cpu=2000, memory=0),
        host="here",
        log_folder=lambda run: f"logs/{run}",
        on_committed=lambda _run, _changes: None,
        on_broken=lambda _error: None,
    )
    lookups = Lookups(journal, engine, SoleLeases(journal, owner="here"))
    encode = msgspec.msgpack.Encoder().encode

    async def answered(question: Awaitable[object]) -> object:
        return encode(await question)

    async def refused(question: Awaitable[object]) -> object:
        try:
            return await question
        except VolantError as error:
            return error

    failed = (ActionPhase.FAILED,)
    return {
        "get runs": lambda: answered(lookups.runs(ListRuns(request=1, limit=20))),
        "get runs: a page of 500": lambda: answered(lookups.runs(ListRuns(request=1, limit=500))),
        "get run: its details": lambda: answered(lookups.details(1, run)),
        "get run: a page of 1000 actions": lambda: answered(
            lookups.summaries(ListSummaries(request=1, run=run, after=1000, limit=1000))
        ),
        "get run: failed ones": lambda: answered(
            lookups.summaries(ListSummaries(request=1, run=run, phases=failed, limit=500))
        ),
        "get run: an unknown name": lambda: refused(lookups.details(1, "rnu-00000")),
        "get action: by id": lambda: answered(lookups.action(GetAction(request=1, run=run, action=action_id(9)[:12]))),
        "get action: an unknown name": lambda: refused(lookups.action(GetAction(request=1, run=run, action="dealys"))),
        f"get environments, {_SPECS:,} specs": lambda: answered(lookups.tasks(ListTasks(request=1, limit=4000))),
    }


_SPECS = 2000


def beside_postgres(place: Path, server: PostgresServer, actions: int, history: int) -> None:
    place.mkdir()
    for at_once, count in ((1, 500), (16, actions), (200, actions), (2000, actions)):
        print(f"SQLite, then Postgres, {at_once} at once:")
        rates = [
            asyncio.run(lives(store, actions=count, at_once=at_once, eager=False))
            for store in (on_sqlite(place), on_postgres(server))
        ]
        print(f"  {rates[0] / rates[1]:.1f}x slower")
    if history:
        print(f"A history of {history} actions on Postgres:")
        asyncio.run(questions(on_postgres(server), history))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--actions", type=int, default=20_000)
    parser.add_argument("--history", type=int, default=0, help="also ask questions of a history of so many actions")
    parser.add_argument("--only", choices=["journal", "layouts", "encodings", "threads", "history", "postgres"])
    given = parser.parse_args()

    def wanted(part: str) -> bool:
        return given.only in (None, part)

    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        place = Path(folder)
        if wanted("journal"):
            print("The journal, actions of nine rows:")
            for at_once, actions in ((1, 500), (16, given.actions), (200, given.actions), (2000, given.actions)):
                asyncio.run(lives(on_sqlite(place), actions=actions, at_once=at_once, eager=False))
            asyncio.run(lives(on_sqlite(place), actions=given.actions, at_once=200, eager=True))
        if wanted("layouts"):
            print("Layouts, groups of 200 actions:")
            compare_layouts(place, given.actions)
        if wanted("encodings"):
            print("Encodings of an action:")
            compare_encodings()
        if wanted("threads"):
            print("Threads beside a busy loop, groups of 200 rows:")
            asyncio.run(compare_threads(place))
        if given.history and wanted("history"):
            print(f"A history of {given.history} actions:")
            asyncio.run(questions(on_sqlite(place), given.history))
        if wanted("postgres"):
            with PostgresServer.start(durable=True) as server:
                beside_postgres(place / "beside", server, given.actions, given.history)
            print("P2's fan-out, 2,000 actions in processes of their own:")
            fan_out(place, 3, 2000)


if __name__ == "__main__":
    main()
