"""A disk that does not do what it should: nothing is half-stored, and everybody is told."""

import asyncio
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from volant.journal.sqlite import SqliteJournal
from volant.model.errors import JournalError
from volant.model.ids import RunId
from volant.model.records import Batch
from volant.ports.journal import RunFilter
from volant.testing.journal import refused, sample_action, sample_change, sample_run


def numbered(number: int, *, size: int = 0) -> Batch:
    return Batch(
        runs=(sample_run(token=number),),
        actions=(sample_action(number),),
        changes=(sample_change(number, message="x" * size),),
    )


async def last_number(journal: SqliteJournal) -> int:
    """The last of the `numbered` batches that is there, after a look at all of them."""
    run = await journal.run(RunId("r1"))
    last = 0 if run is None else run.token
    assert [change.seq for change in await journal.changes(RunId("r1"))] == list(range(1, last + 1))
    assert len(await journal.actions(RunId("r1"))) == last
    return last


def test_on_a_full_disk_nothing_is_half_stored_and_all_later_commits_are_refused(tmp_path: Path) -> None:
    async def body() -> None:
        path = tmp_path / "journal.db"
        journal = await SqliteJournal.open(path, max_size=400_000, group_rows=3)
        receipts = [journal.commit(numbered(number, size=5000)) for number in range(1, 200)]
        outcomes = await asyncio.gather(*receipts, return_exceptions=True)
        stored = outcomes.index(next(outcome for outcome in outcomes if outcome is not None))
        assert stored > 10
        assert all(isinstance(outcome, JournalError) for outcome in outcomes[stored:])
        assert "full" in str(outcomes[stored])
        assert journal.failure is not None
        assert await last_number(journal) == stored
        assert "full" in str(await refused(journal.commit(Batch())))
        assert "full" in str(await refused(journal.delete_run(RunId("r1"))))
        await journal.close()
        larger = await SqliteJournal.open(path)
        assert await last_number(larger) == stored
        await larger.commit(numbered(stored + 1))
        await larger.close()

    asyncio.run(body())


@pytest.mark.parametrize("refused_table", ["runs", "actions", "changes"])
def test_a_statement_that_fails_stores_nothing_of_its_group(tmp_path: Path, refused_table: str) -> None:
    async def body() -> None:
        journal = await SqliteJournal.open(tmp_path / "journal.db")
        await journal.commit(numbered(1))

        def authorize(action: int, table: str | None, *_: object) -> int:
            writes = (sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE)
            return sqlite3.SQLITE_DENY if action in writes and table == refused_table else sqlite3.SQLITE_OK

        journal._writer._connection.set_authorizer(authorize)  # type: ignore[union-attr]
        group = [journal.commit(numbered(number)) for number in (2, 3)]
        for receipt in group:
            await refused(receipt)
        assert await last_number(journal) == 1
        await journal.close()
        journal = await SqliteJournal.open(tmp_path / "journal.db")
        assert await last_number(journal) == 1
        await journal.close()

    asyncio.run(body())


def test_a_commit_that_fails_tells_its_group_and_all_that_waited(tmp_path: Path) -> None:
    async def body() -> None:
        journal = await SqliteJournal.open(tmp_path / "journal.db")
        await journal.commit(numbered(1))

        def authorize(action: int, operation: str | None, *_: object) -> int:
            denied = action == sqlite3.SQLITE_TRANSACTION and operation == "COMMIT"
            return sqlite3.SQLITE_DENY if denied else sqlite3.SQLITE_OK

        journal._writer._connection.set_authorizer(authorize)  # type: ignore[union-attr]
        committing = journal.commit(numbered(2))
        await asyncio.sleep(0)
        waiting = journal.commit(numbered(3))
        assert "committing failed" in str(await refused(committing))
        assert "committing failed" in str(await refused(waiting))
        assert await last_number(journal) == 1
        await journal.close()
        journal = await SqliteJournal.open(tmp_path / "journal.db")
        assert await last_number(journal) == 1
        await journal.close()

    asyncio.run(body())


def test_a_lost_database_is_told_and_closing_still_ends(tmp_path: Path) -> None:
    async def body() -> None:
        journal = await SqliteJournal.open(tmp_path / "journal.db")
        await journal.commit(numbered(1))
        journal._writer._connection.close()  # type: ignore[union-attr]
        assert "writing failed" in str(await refused(journal.commit(numbered(2))))
        await journal.close()

    asyncio.run(body())


def test_a_second_writer_is_waited_for_without_holding_the_loop(tmp_path: Path) -> None:
    async def body() -> None:
        path = tmp_path / "journal.db"
        journal = await SqliteJournal.open(path)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            receipt = journal.commit(numbered(1))
            for _ in range(20):
                await asyncio.sleep(0.002)
            assert not receipt.done
            other.execute("COMMIT")
            await receipt
        assert await last_number(journal) == 1
        await journal.close()

    asyncio.run(body())


def test_a_second_writer_that_stays_is_named_in_the_error(tmp_path: Path) -> None:
    async def body() -> None:
        path = tmp_path / "journal.db"
        journal = await SqliteJournal.open(path, busy_timeout=timedelta(milliseconds=50))
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            error = await refused(journal.commit(numbered(1)))
            assert "another process is writing to it (database is locked)" in str(error)
            assert "one engine" in str(error.hint)
            late = await refused(SqliteJournal.open(path, busy_timeout=timedelta(milliseconds=50)))
            assert "database is locked" in str(late)
        await journal.close()

    asyncio.run(body())


def test_a_second_process_reads_while_the_first_one_writes(tmp_path: Path) -> None:
    async def body() -> None:
        path = tmp_path / "journal.db"
        writer = await SqliteJournal.open(path)
        reader = await SqliteJournal.open(path, read_only=True)
        for number in (1, 2, 3):
            await writer.commit(numbered(number))
            assert await last_number(reader) == number
        with pytest.raises(JournalError, match="reading only"):
            reader.commit(Batch())
        await refused(reader.delete_run(RunId("r1")))
        await writer.close()
        assert await last_number(reader) == 3
        await reader.close()

    asyncio.run(body())


def test_a_place_where_no_file_can_be_is_named(tmp_path: Path) -> None:
    async def body() -> None:
        for read_only in (False, True):
            path = tmp_path / "nowhere" / "journal.db"
            error = await refused(SqliteJournal.open(path, read_only=read_only))
            assert str(path) in str(error)

    asyncio.run(body())


def test_names_that_are_no_text_are_nowhere_and_break_nothing(tmp_path: Path) -> None:
    async def body() -> None:
        journal = await SqliteJournal.open(tmp_path / "journal.db")
        name = RunId("\udc80")
        assert await journal.run(name) is None
        assert list(await journal.matching_runs(name)) == []
        assert list(await journal.runs(RunFilter(task=name))) == []
        assert "cannot be stored" in str(await refused(journal.commit(Batch(runs=(sample_run(name),)))))
        assert "cannot be stored" in str(await refused(journal.delete_run(name)))
        await journal.commit(numbered(1))
        assert await last_number(journal) == 1
        await journal.close()

    asyncio.run(body())
