"""A process that dies while it writes: what it was told is there, and what is there is a prefix."""

import asyncio
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from volant.journal.sqlite import SqliteJournal
from volant.model.ids import RunId
from volant.model.records import Batch
from volant.testing.journal import action_id, sample_action, sample_change, sample_run

TABLES = ("runs", "run_labels", "deleted_runs", "actions", "attempts", "changes")

# Commits numbered batches, several at once, and prints each number once it was told. With a second argument it
# dies just before its writing connection executes the statement of that number, counted from the last opening.
WRITER = """
import asyncio, os, signal, sys
from pathlib import Path
from volant.journal.sqlite import SqliteJournal
from volant.model.phases import ActionPhase
from volant.model.records import Batch
from volant.testing.journal import sample_action, sample_attempt, sample_change, sample_run

async def main(path, dies_at):
    journal = await SqliteJournal.open(path, group_rows=12)
    if dies_at:
        left = dies_at
        def count(statement):
            nonlocal left
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
        journal._writer._connection.set_trace_callback(count)
    await journal.commit(Batch(runs=(sample_run(),)))
    print(0, flush=True)
    numbers = iter(range(1, 60 if dies_at else 1_000_000))
    async def commit_some():
        for number in numbers:
            await journal.commit(Batch(
                runs=(sample_run(token=number),),
                actions=(sample_action(number), sample_action(number - 1, phase=ActionPhase.SUCCEEDED)),
                attempts=(sample_attempt(number),),
                changes=(sample_change(number),),
            ))
            print(number, flush=True)
    await asyncio.gather(*(commit_some() for _ in range(4)))
    await journal.close()

asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
"""


# Writes two runs, then deletes one of them and dies before the statement of the second argument.
DELETER = """
import asyncio, os, signal, sys
from pathlib import Path
from volant.journal.sqlite import SqliteJournal
from volant.model.records import Batch
from volant.testing.journal import sample_action, sample_attempt, sample_change, sample_run

async def main(path, dies_at):
    journal = await SqliteJournal.open(path)
    for name in ("r1", "r2"):
        await journal.commit(Batch(
            runs=(sample_run(name, labels={"team": "ops"}),),
            actions=tuple(sample_action(number, run=name) for number in range(400)),
            attempts=tuple(sample_attempt(number, run=name) for number in range(400)),
            changes=tuple(sample_change(seq, run=name) for seq in range(1, 601)),
        ))
    left = dies_at
    def count(statement):
        nonlocal left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
    journal._writer._connection.set_trace_callback(count)
    await journal.delete_run("r1")
    print("deleted", flush=True)
    await journal.close()

asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
"""


def start(path: Path, dies_at: int = 0, *, program: str = WRITER) -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, "-c", program, path, str(dies_at)], stdout=subprocess.PIPE, text=True)


async def stored(path: Path) -> int | None:
    """The number of the last batch, after a look at all of them; None when there is no run."""
    journal = await SqliteJournal.open(path)
    try:
        run = await journal.run(RunId("r1"))
        if run is None:
            assert await journal.count_actions(RunId("r1")) == {}
            return None
        last = run.token
        changes = await journal.changes(RunId("r1"), limit=1_000_000)
        assert [change.seq for change in changes] == list(range(1, last + 1))
        listed = [action for _, action in await journal.actions(RunId("r1"), limit=1_000_000)]
        ids = [action_id(number) for number in ([1, 0, *range(2, last + 1)] if last else [])]
        assert [action.action for action in listed] == ids
        assert {action.action for action in listed if not action.phase.is_final} == (
            {action_id(last)} if last else set()
        )
        for number in (1, last):
            assert len(await journal.attempts(RunId("r1"), action_id(number))) == (last > 0)
        return last
    finally:
        await journal.close()


@pytest.mark.parametrize("told_until", [1, 40, 333, 1500])
def test_killed_at_any_time_every_told_batch_is_there_and_what_is_there_is_a_prefix(
    tmp_path: Path, told_until: int
) -> None:
    path = tmp_path / "journal.db"
    process = start(path)
    assert process.stdout is not None
    told = -1
    for line in process.stdout:
        told = max(told, int(line))
        if told >= told_until:
            process.kill()
            break
    told = max([told, *(int(line) for line in process.stdout if line.endswith("\n"))])
    process.stdout.close()
    assert process.wait() == -signal.SIGKILL
    last = asyncio.run(stored(path))
    assert last is not None
    assert last >= told


@pytest.mark.parametrize("dies_at", [1, 2, 3, 4, 5, 7, 9, 11, 14, 20, 33, 60])
def test_killed_before_any_statement_a_prefix_is_there(tmp_path: Path, dies_at: int) -> None:
    path = tmp_path / "journal.db"
    process = start(path, dies_at)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    told = max((int(line) for line in out.splitlines()), default=-1)
    last = asyncio.run(stored(path))
    assert (-1 if last is None else last) >= told
    # The next process goes on where this one was stopped.
    assert asyncio.run(stored(path)) == last


@pytest.mark.parametrize("dies_at", [1, 3, 5, 6, 7, 9, 12, 16, 20, 24, 28, 32])
def test_killed_while_it_deletes_a_run_the_next_opening_finishes(tmp_path: Path, dies_at: int) -> None:
    path = tmp_path / "journal.db"
    process = start(path, dies_at, program=DELETER)
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) in [(-signal.SIGKILL, ""), (0, "deleted\n"), (-signal.SIGKILL, "deleted\n")]

    async def body() -> bool:
        journal = await SqliteJournal.open(path)
        try:
            assert len(await journal.actions(RunId("r2"))) == 400
            assert len(await journal.changes(RunId("r2"))) == 600
            there = await journal.run(RunId("r1")) is not None
            if there:
                assert len(await journal.actions(RunId("r1"))) == 400
                assert len(await journal.changes(RunId("r1"))) == 600
            # A deletion is queued behind the sweeping that opening has begun.
            while journal.is_sweeping:
                await journal.commit(Batch())
            return there
        finally:
            await journal.close()

    runs_left = 2 if asyncio.run(body()) else 1
    with closing(sqlite3.connect(path)) as db:
        rows = {table: db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in TABLES}
    assert rows == {
        "runs": runs_left,
        "run_labels": runs_left,
        "deleted_runs": 0,
        "actions": 400 * runs_left,
        "attempts": 400 * runs_left,
        "changes": 600 * runs_left,
    }


@pytest.mark.parametrize("torn", range(0, 100, 7))
def test_a_log_that_was_torn_off_anywhere_leaves_a_prefix(tmp_path: Path, torn: int) -> None:
    """As after a loss of power: the log is there up to some byte, and what follows is not, or is rubbish."""

    async def body() -> None:
        journal = await SqliteJournal.open(tmp_path / "journal.db")
        for number in range(1, 21):
            await journal.commit(
                Batch(
                    runs=(sample_run(token=number),), actions=(sample_action(number),), changes=(sample_change(number),)
                )
            )
        (tmp_path / "copy").mkdir()
        log = (tmp_path / "journal.db-wal").read_bytes()
        length = len(log) * torn // 100
        (tmp_path / "copy" / "journal.db").write_bytes((tmp_path / "journal.db").read_bytes())
        (tmp_path / "copy" / "journal.db-wal").write_bytes(log[:length] + b"\xa5" * (torn * 97 % 5000))
        await journal.close()
        copy = await SqliteJournal.open(tmp_path / "copy" / "journal.db")
        run = await copy.run(RunId("r1"))
        last = 0 if run is None else run.token
        assert last * 100 >= 20 * torn - 400
        assert [change.seq for change in await copy.changes(RunId("r1"))] == list(range(1, last + 1))
        assert [at for at, _ in await copy.actions(RunId("r1"))] == list(range(1, last + 1))
        await copy.close()

    asyncio.run(body())
