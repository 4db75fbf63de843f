"""Upgrading, checking and backing up, on SQLite and on Postgres."""

import asyncio
import os
import re
import sqlite3
import subprocess
from collections.abc import Callable, Coroutine
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from volant.journal.postgres import PostgresJournal
from volant.journal.postgres.maintaining import PostgresMaintenance
from volant.journal.sqlite import SqliteJournal
from volant.journal.sqlite.maintaining import SqliteMaintenance
from volant.journal.sqlite.opening import MIGRATIONS
from volant.model.phases import ActionPhase
from volant.model.records import Batch, SpecRecord
from volant.ports.journal import Journal
from volant.ports.maintenance import Checked, Upgraded
from volant.testing.journal import refused, sample_action, sample_attempt, sample_change, sample_run
from volant.testing.postgres_server import PostgresServer

DONE = ActionPhase.SUCCEEDED
SPEC = SpecRecord(spec=sample_action(0).spec, body=b"spec")
SOUND = Batch(
    specs=(SPEC,),
    runs=(sample_run(phase=DONE), sample_run("r2", age=1)),
    actions=(
        sample_action(0, parent=None, phase=DONE, outcome_seq=2),
        sample_action(1, phase=DONE, attempts=1),
        sample_action(0, run="r2", parent=None),
    ),
    attempts=(sample_attempt(1),),
    changes=(sample_change(1), sample_change(2), sample_change(1, run="r2")),
)
UNSOUND = Batch(
    specs=(SPEC,),
    runs=(sample_run(phase=DONE),),
    actions=(
        sample_action(1, parent=9, outcome_seq=7),
        sample_action(2, parent=1, phase=DONE, spec="nowhere"),
        sample_action(3, parent=1, phase=DONE, attempts=1),
    ),
    attempts=(sample_attempt(3, 0), sample_attempt(3, 1)),
    changes=(sample_change(1),),
)
SAID = (
    "its root action 00000000000000000000000000000000 is not there",
    "is not there",
    "its outcome is change 7, the feed ends at 1",
    "it is QUEUED, the run has ended",
    "its spec nowhere is not there",
    "it has 2 attempts, its row says 1",
)

Write = Callable[[Journal], Coroutine[Any, Any, None]]


async def filled(journal: Journal, batch: Batch) -> None:
    await journal.commit(batch)
    await journal.close()


def test_a_sound_file_has_no_problem(tmp_path: Path) -> None:
    async def body() -> None:
        path = tmp_path / "journal.db"
        await filled(await SqliteJournal.open(path), SOUND)
        assert await SqliteMaintenance(path).check() == Checked(runs=2, actions=3, changes=3, problems=())

    asyncio.run(body())


def test_a_sound_database_has_no_problem(postgres: PostgresServer) -> None:
    async def body() -> None:
        url = postgres.new_database()
        await filled(await PostgresJournal.open(url), SOUND)
        assert await PostgresMaintenance(url).check() == Checked(runs=2, actions=3, changes=3, problems=())

    asyncio.run(body())
    assert postgres.execute("SELECT 1 FROM pg_namespace WHERE nspname = 'volant_wanted'") == []


def test_every_problem_of_rows_is_named(tmp_path: Path) -> None:
    async def body() -> None:
        path = tmp_path / "journal.db"
        await filled(await SqliteJournal.open(path), UNSOUND)
        found = (await SqliteMaintenance(path).check()).problems
        assert len(found) == len(SAID)
        for sentence, problem in zip(SAID, found, strict=True):
            assert problem.startswith("run 'r1': ")
            assert sentence in problem

    asyncio.run(body())


GAPS = "DELETE FROM {0}changes WHERE key = (SELECT min(key) FROM {0}changes)"
BODIES = "UPDATE {0}actions SET body = {1} WHERE key = (SELECT max(key) FROM {0}actions)"


def test_gaps_bodies_and_schemas_that_are_not_ours_are_named_in_a_file(tmp_path: Path) -> None:
    async def body() -> None:
        path = tmp_path / "journal.db"
        await filled(await SqliteJournal.open(path), SOUND)
        with closing(sqlite3.connect(path)) as db, db:
            db.execute(GAPS.format(""))
            db.execute(BODIES.format("", "x'c1'"))
            db.execute("CREATE INDEX extra ON runs (task)")
            db.execute("DROP INDEX runs_by_age")
        problems = (await SqliteMaintenance(path).check()).problems
        assert [problem.split(":")[0] for problem in problems] == ["the schema", "the schema", "run 'r2'", "run 'r1'"]
        assert "index runs_by_age is missing" in problems[0]
        assert "index extra is not of this release" in problems[1]
        assert "a row of it cannot be read" in problems[2]
        assert "after change 0 comes change 2" in problems[3]

    asyncio.run(body())


def test_gaps_bodies_and_schemas_that_are_not_ours_are_named_in_a_database(postgres: PostgresServer) -> None:
    async def body() -> None:
        url = postgres.new_database()
        await filled(await PostgresJournal.open(url), SOUND)
        with psycopg.connect(url) as connection:
            for statement in (
                GAPS.format("volant."),
                BODIES.format("volant.", "'\\xc1'"),
                "CREATE INDEX extra ON volant.runs (task)",
                "DROP INDEX volant.runs_by_age",
                "ALTER TABLE volant.runs ALTER COLUMN phase TYPE integer",
            ):
                connection.execute(statement.encode())
        problems = (await PostgresMaintenance(url).check()).problems
        assert "index runs_by_age is missing" in problems[0]
        assert "column runs.phase is integer NO , wanted smallint NO" in problems[1]
        assert "index extra is not of this release" in problems[2]
        assert "a row of it cannot be read" in problems[3]
        assert "after change 0 comes change 2" in problems[4]

    asyncio.run(body())


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    async def body() -> None:
        path = tmp_path / "journal.db"
        journal = await SqliteJournal.open(path)
        await filled(journal, Batch(runs=tuple(sample_run(f"r{number}", age=number) for number in range(500))))
        content = bytearray(path.read_bytes())
        page = content.index(b"r250")
        content[page - page % 4096 : page - page % 4096 + 200] = b"\xa5" * 200
        path.write_bytes(content)
        try:
            problems = (await SqliteMaintenance(path).check()).problems
        except Exception as error:  # noqa: BLE001 - so damaged that nothing can be asked
            problems = (str(error),)
        assert problems

    asyncio.run(body())


def test_upgrading_makes_an_empty_place_a_journal_and_then_does_nothing(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    async def body() -> None:
        for maintenance in (SqliteMaintenance(tmp_path / "journal.db"), PostgresMaintenance(postgres.new_database())):
            first = await maintenance.upgrade()
            assert first.before == 0
            assert first.after > 0
            assert await maintenance.upgrade() == Upgraded(before=first.after, after=first.after)
            assert (await maintenance.check()).problems == ()

    asyncio.run(body())


def test_upgrading_a_file_of_the_first_version_keeps_what_is_in_it(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with closing(sqlite3.connect(path)) as db, db:
        db.executescript(MIGRATIONS[0].sql)
        db.execute("INSERT INTO schema_version VALUES (1, 'pre_initial', 0)")
        db.execute("INSERT INTO specs (spec, body) VALUES ('a', x'00')")

    async def body() -> None:
        done = await SqliteMaintenance(path).upgrade()
        assert done == Upgraded(before=1, after=len(MIGRATIONS))
        journal = await SqliteJournal.open(path, read_only=True)
        assert [spec.body for spec in await journal.specs()] == [b"\x00"]
        await journal.close()
        assert (await SqliteMaintenance(path).check()).problems == ()

    asyncio.run(body())


def test_a_backup_of_a_file_in_use_is_a_journal_with_what_was_committed(tmp_path: Path) -> None:
    async def body() -> None:
        path, copy = tmp_path / "journal.db", tmp_path / "copy.db"
        journal = await SqliteJournal.open(path)
        await journal.commit(SOUND)
        maintenance = SqliteMaintenance(path)
        await maintenance.backup(copy)
        await journal.commit(Batch(changes=(sample_change(3),)))
        await journal.close()
        assert await SqliteMaintenance(copy).check() == Checked(runs=2, actions=3, changes=3, problems=())
        assert "is there already" in str(await refused(maintenance.backup(copy)))
        assert "no folder" in str(await refused(maintenance.backup(tmp_path / "nowhere" / "copy.db")))
        assert sorted(file.name for file in tmp_path.iterdir()) == ["copy.db", "journal.db"]
        with closing(sqlite3.connect(copy)) as db:
            assert db.execute("PRAGMA application_id").fetchone()[0] != 0

    asyncio.run(body())


def test_a_backup_of_a_database_in_use_can_be_restored(
    tmp_path: Path, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{postgres.programs}{os.pathsep}{os.environ['PATH']}")
    copy = tmp_path / "copy.dump"

    async def body() -> None:
        url, restored = postgres.new_database(), postgres.new_database()
        journal = await PostgresJournal.open(url)
        await journal.commit(SOUND)
        maintenance = PostgresMaintenance(url)
        await maintenance.backup(copy)
        await journal.close()
        assert "is there already" in str(await refused(maintenance.backup(copy)))
        assert [file.name for file in tmp_path.iterdir()] == ["copy.dump"]
        subprocess.run([postgres.programs / "pg_restore", "-d", restored, copy], check=True)
        assert await PostgresMaintenance(restored).check() == Checked(runs=2, actions=3, changes=3, problems=())

    asyncio.run(body())


def test_a_backup_of_a_database_needs_pg_dump_and_says_so_without_the_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    maintenance = PostgresMaintenance("postgresql://me:hunter2@host:77/name")
    error = asyncio.run(refused(maintenance.backup(tmp_path / "copy.dump")))
    assert "no pg_dump" in str(error)
    assert "postgresql-client" in str(error.hint)
    assert "hunter2" not in f"{error} {error.hint}"


def test_pg_dump_is_not_told_the_password_where_all_can_read_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "pg_dump"
    program.write_text('#!/bin/sh\necho "args: $* password: $PGPASSWORD" >&2\nexit 1\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    maintenance = PostgresMaintenance("postgresql://me:hunter2@host:77/name")
    said = str(asyncio.run(refused(maintenance.backup(tmp_path / "copy.dump"))))
    found = re.search("args: (.*) password: (.*)", said)
    assert found is not None
    assert "hunter2" not in found[1]
    assert found[2] == "hunter2"


def test_what_is_not_there_cannot_be_checked_or_backed_up(tmp_path: Path, postgres: PostgresServer) -> None:
    async def body() -> None:
        file = SqliteMaintenance(tmp_path / "journal.db")
        assert "no such file" in str(await refused(file.check()))
        assert "no such file" in str(await refused(file.backup(tmp_path / "copy.db")))
        assert list(tmp_path.iterdir()) == []
        error = await refused(PostgresMaintenance(postgres.new_database()).check())
        assert "version 0" in str(error)

    asyncio.run(body())
