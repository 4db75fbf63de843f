"""The schema, its migrations, and the plans that SQLite makes of the statements."""

import asyncio
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from volant.journal.migrations import migrations
from volant.journal.rows import FIRST_FINAL_CODE, PHASE_CODES
from volant.journal.sqlite import SqliteJournal, opening
from volant.journal.sqlite.maintaining import SqliteMaintenance
from volant.journal.sqlite.opening import MIGRATIONS, STATEMENTS
from volant.journal.statements import Statements
from volant.model.phases import ActionPhase
from volant.testing.journal import refused

SCHEMA = Path(opening.__file__).parent / "schema.sql"


def objects(db: sqlite3.Connection) -> dict[tuple[str, str], str]:
    rows = db.execute("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL")
    return {(kind, name): " ".join(sql.split()) for kind, name, sql in rows}


def fresh(path: Path) -> Path:
    async def body() -> None:
        journal = await SqliteJournal.open(path)
        await journal.close()

    asyncio.run(body())
    return path


def test_the_migrations_lead_to_the_schema_that_is_written_down(tmp_path: Path) -> None:
    with (
        closing(sqlite3.connect(fresh(tmp_path / "journal.db"))) as migrated,
        closing(sqlite3.connect(":memory:")) as db,
    ):
        db.executescript(SCHEMA.read_text())
        assert objects(migrated) == objects(db)


def test_a_database_that_is_up_to_date_is_not_written_again(tmp_path: Path) -> None:
    path = fresh(tmp_path / "journal.db")
    with closing(sqlite3.connect(path)) as db:
        before = db.execute("SELECT version, name, applied_at FROM schema_version").fetchall()
    fresh(path)
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT version, name, applied_at FROM schema_version").fetchall() == before
    assert [(version, name) for version, name, _ in before] == [(step.version, step.name) for step in MIGRATIONS]


@pytest.mark.parametrize("read_only", [False, True])
def test_a_newer_schema_is_refused_with_both_versions_and_left_alone(tmp_path: Path, read_only: bool) -> None:
    path = fresh(tmp_path / "journal.db")
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("INSERT INTO schema_version VALUES (99, 'pre_future', 0)")
    before = path.read_bytes()
    error = asyncio.run(refused(SqliteJournal.open(path, read_only=read_only)))
    assert "version 99" in str(error)
    assert f"up to {len(MIGRATIONS)}" in str(error)
    assert path.read_bytes() == before


@pytest.mark.parametrize("read_only", [False, True])
def test_an_older_schema_is_refused_with_the_command_to_run_and_left_alone(tmp_path: Path, read_only: bool) -> None:
    path = tmp_path / "journal.db"
    with closing(sqlite3.connect(path)) as db, db:
        db.executescript(MIGRATIONS[0].sql)
        db.execute("INSERT INTO schema_version VALUES (1, 'pre_initial', 0)")
    before = path.read_bytes()
    error = asyncio.run(refused(SqliteJournal.open(path, read_only=read_only)))
    assert "version 1" in str(error)
    assert f"version {len(MIGRATIONS)}" in str(error)
    assert "volant db upgrade" in str(error.hint)
    assert path.read_bytes() == before


def test_a_migration_that_fails_leaves_the_database_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = fresh(tmp_path / "journal.db")
    folder = tmp_path / "migrations"
    folder.mkdir()
    for step in MIGRATIONS:
        (folder / f"{step.version:04}_{step.name}.sql").write_text(step.sql)
    following = f"{len(MIGRATIONS) + 1:04}_post_broken.sql"
    (folder / following).write_text("CREATE TABLE extra (x INTEGER) STRICT;\nINSERT INTO nowhere VALUES (1);\n")
    with closing(sqlite3.connect(path)) as db:
        before = objects(db)
    with monkeypatch.context() as patch:
        patch.setattr(opening, "MIGRATIONS", migrations(folder))
        assert "nowhere" in str(asyncio.run(refused(SqliteMaintenance(path).upgrade())))
    with closing(sqlite3.connect(path)) as db:
        assert objects(db) == before
    fresh(path)


@pytest.mark.parametrize("content", ["CREATE TABLE t (x)", "PRAGMA application_id = 77"])
def test_another_programs_database_is_refused_and_left_alone(tmp_path: Path, content: str) -> None:
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(content)
        db.execute("PRAGMA user_version = 3")
    before = path.read_bytes()
    assert "another program" in str(asyncio.run(refused(SqliteJournal.open(path))))
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.write_bytes(b"hello, world" * 1000)
    assert "not a SQLite database" in str(asyncio.run(refused(SqliteJournal.open(path))))
    assert path.read_bytes() == b"hello, world" * 1000


def test_the_file_is_made_durable(tmp_path: Path) -> None:
    async def body() -> None:
        journal = await SqliteJournal.open(tmp_path / "journal.db")
        connection = journal._writer._connection  # type: ignore[union-attr]
        assert connection.execute("PRAGMA synchronous").fetchall() == [(2,)]
        assert connection.execute("PRAGMA journal_mode").fetchall() == [("wal",)]
        await journal.close()

    asyncio.run(body())


def test_migrations_have_numbers_without_gaps(tmp_path: Path) -> None:
    (tmp_path / "0001_pre_initial.sql").touch()
    (tmp_path / "0003_post_later.sql").touch()
    with pytest.raises(ValueError, match="0002_pre_<name>"):
        migrations(tmp_path)


def test_statements_are_found_by_name_without_their_comments(tmp_path: Path) -> None:
    (tmp_path / "a.sql").write_text(
        "-- About this file.\n\n-- name: one\n-- Why.\nSELECT 1\n-- name: two\nSELECT\n  2\n"
    )
    assert dict(Statements(tmp_path)) == {"one": "SELECT 1", "two": "SELECT 2"}
    (tmp_path / "b.sql").write_text("-- name: two\nSELECT 3\n")
    with pytest.raises(ValueError, match="'two' is defined twice"):
        Statements(tmp_path)
    (tmp_path / "b.sql").write_text("SELECT 3\n")
    with pytest.raises(ValueError, match="before the first"):
        Statements(tmp_path)


def test_every_phase_has_a_code_and_the_statements_know_which_are_final() -> None:
    assert set(PHASE_CODES) == set(ActionPhase)
    assert len(set(PHASE_CODES.values())) == len(PHASE_CODES)
    assert {phase for phase, code in PHASE_CODES.items() if code >= FIRST_FINAL_CODE} == {
        phase for phase in ActionPhase if phase.is_final
    }
    assert f"phase < {FIRST_FINAL_CODE}" in STATEMENTS["unfinished_runs"]


INDEXES = {
    "run": "sqlite_autoindex_runs_1 (run=?)",
    "run_number": "sqlite_autoindex_runs_1 (run=?)",
    "run_age": "sqlite_autoindex_runs_1 (run=?)",
    "runs_by_age": "runs_by_age (",
    "runs_by_task": "runs_by_task (task=?",
    "runs_by_phase": "runs_by_phase (phase=?",
    "runs_by_label": "runs_by_label (key=? AND value=?",
    "unfinished_runs": "runs_by_phase (phase<?)",
    "runs_by_prefix": "sqlite_autoindex_runs_1 (run>? AND run<?)",
    "run_names_by_age": "runs_by_age (",
    "action": "actions_by_id (run_number=? AND action=?)",
    "actions": "INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
    "actions_by_phase": "actions_by_phase (run_number=? AND phase=? AND rowid>?)",
    "actions_by_parent": "actions_by_parent (run_number=? AND parent=? AND phase=? AND rowid>?)",
    "count_actions": "COVERING INDEX actions_by_phase (run_number=?)",
    "attempts": "PRIMARY KEY (action_key=?)",
    "changes": "INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
    "last_change": "INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
    "actions_by_prefix": "INDEX actions_by_id (run_number=? AND action>? AND action<?)",
    "spec": "sqlite_autoindex_specs_1 (spec=?)",
    "peek_runs_by_age": "runs_by_age (",
    "peek_runs_by_prefix": "sqlite_autoindex_runs_1 (run>? AND run<?)",
    "peek_next_task": "COVERING INDEX runs_by_task (task>?)",
    "peek_actions": "INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
    "specs_by_use": "specs_by_use (used_at<?)",
    "find_head": "sqlite_autoindex_runs_1 (run=?)",
    "find_place": "COVERING INDEX actions_by_id (run_number=? AND action=?)",
    "update_action": "INTEGER PRIMARY KEY (rowid=?)",
    "delete_labels": "PRIMARY KEY (run_number=?)",
    "delete_run": "INTEGER PRIMARY KEY (rowid=?)",
    "first_change": "INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
    "sweep_changes": "INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
    "first_attempt": "PRIMARY KEY (action_key>? AND action_key<?)",
    "sweep_attempts": "PRIMARY KEY (action_key>? AND action_key<?)",
    "first_action": "INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
    "sweep_actions": "INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
    "unmark_deleted": "INTEGER PRIMARY KEY (rowid=?)",
}
WITHOUT_A_SEARCH = {
    "begin",
    "last_number",
    "upsert_spec",
    "upsert_run",
    "insert_label",
    "insert_action",
    "upsert_attempt",
    "insert_change",
    "mark_deleted",
    "deleted_runs",
}


def plan(statement: str) -> list[str]:
    with closing(sqlite3.connect(":memory:")) as db:
        db.executescript(SCHEMA.read_text())
        names = set(re.findall(r":(\w+)", statement))
        values = dict.fromkeys(names, 1) if names else (1,) * statement.count("?")
        return [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {statement}", values)]


def test_every_statement_is_known_to_these_tests() -> None:
    assert set(STATEMENTS) == set(INDEXES) | WITHOUT_A_SEARCH


@pytest.mark.parametrize("name", INDEXES)
def test_every_question_goes_along_an_index_and_sorts_nothing(name: str) -> None:
    steps = plan(STATEMENTS[name])
    assert any(INDEXES[name] in step for step in steps), steps
    assert not [step for step in steps if "SCAN" in step or "TEMP B-TREE" in step], steps
