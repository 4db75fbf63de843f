"""The schema on Postgres, its migrations, and the plans that the server makes of the statements."""

import asyncio
import re
import subprocess
from pathlib import Path

import psycopg
import pytest

from volant.journal.migrations import migrations
from volant.journal.postgres import PostgresJournal, opening
from volant.journal.postgres.connecting import Server
from volant.journal.postgres.opening import MIGRATIONS, STATEMENTS, upgrade
from volant.journal.rows import FIRST_FINAL_CODE
from volant.testing.journal import refused
from volant.testing.postgres_server import PostgresServer

SCHEMA = Path(opening.__file__).parent / "schema.sql"


def fresh(url: str) -> str:
    async def body() -> None:
        journal = await PostgresJournal.open(url)
        await journal.close()

    asyncio.run(body())
    return url


def dump(server: PostgresServer, url: str) -> list[str]:
    command = [server.programs / "pg_dump", "--schema-only", "--schema=volant", url]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    # Newer releases begin with a random word against injection.
    return [line for line in done.stdout.splitlines() if not line.startswith("\\")]


def versions(url: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT version, name, applied_at FROM volant.schema_version").fetchall()


def test_the_migrations_lead_to_the_schema_that_is_written_down(postgres: PostgresServer) -> None:
    migrated, written = fresh(postgres.new_database()), postgres.new_database()
    with psycopg.connect(written) as connection:
        connection.execute(SCHEMA.read_bytes())
    assert dump(postgres, migrated) == dump(postgres, written)


def test_a_database_that_is_up_to_date_is_not_written_again(postgres: PostgresServer) -> None:
    url = fresh(postgres.new_database())
    before = versions(url)
    fresh(url)
    assert versions(url) == before
    assert [row[:2] for row in before] == [(step.version, step.name) for step in MIGRATIONS]


def test_engines_that_find_an_empty_database_at_once_agree(postgres: PostgresServer) -> None:
    url = postgres.new_database()

    async def body() -> None:
        journals = await asyncio.gather(*(PostgresJournal.open(url) for _ in range(5)))
        await asyncio.gather(*(journal.close() for journal in journals))

    asyncio.run(body())
    assert len(versions(url)) == len(MIGRATIONS)


@pytest.mark.parametrize("read_only", [False, True])
def test_a_newer_schema_is_refused_with_both_versions_and_left_alone(postgres: PostgresServer, read_only: bool) -> None:
    url = fresh(postgres.new_database())
    with psycopg.connect(url) as connection:
        connection.execute("INSERT INTO volant.schema_version VALUES (99, 'pre_future', 0)")
    error = asyncio.run(refused(PostgresJournal.open(url, read_only=read_only)))
    assert "version 99" in str(error)
    assert f"up to {len(MIGRATIONS)}" in str(error)
    assert "newer release" in str(error.hint)
    assert len(versions(url)) == len(MIGRATIONS) + 1


def test_an_older_schema_is_refused_with_the_command_and_upgraded_by_it(
    postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = fresh(postgres.new_database())
    for step in MIGRATIONS:
        (tmp_path / f"{step.version:04}_{step.name}.sql").write_text(step.sql)
    following = len(MIGRATIONS) + 1
    (tmp_path / f"{following:04}_pre_more.sql").write_text("CREATE TABLE volant.more (x integer);\n")
    monkeypatch.setattr(opening, "MIGRATIONS", migrations(tmp_path))
    error = asyncio.run(refused(PostgresJournal.open(url)))
    assert f"version {len(MIGRATIONS)}" in str(error)
    assert f"needs version {following}" in str(error)
    assert "volant db upgrade" in str(error.hint)
    assert len(versions(url)) == len(MIGRATIONS)
    assert asyncio.run(upgrade(Server(url))) == (following - 1, following)
    assert asyncio.run(upgrade(Server(url))) == (following, following)
    fresh(url)


def test_a_migration_that_fails_leaves_the_database_as_it_was(
    postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = fresh(postgres.new_database())
    for step in MIGRATIONS:
        (tmp_path / f"{step.version:04}_{step.name}.sql").write_text(step.sql)
    broken = "CREATE TABLE volant.extra (x integer);\nINSERT INTO volant.nowhere VALUES (1);\n"
    (tmp_path / f"{len(MIGRATIONS) + 1:04}_post_broken.sql").write_text(broken)
    before = dump(postgres, url)
    with monkeypatch.context() as patch:
        patch.setattr(opening, "MIGRATIONS", migrations(tmp_path))
        assert "nowhere" in str(asyncio.run(refused(upgrade(Server(url)))))
    assert dump(postgres, url) == before
    fresh(url)


def test_nothing_outside_its_own_schema_is_touched(postgres: PostgresServer) -> None:
    url = postgres.new_database()
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE runs (x integer)")
    fresh(url)
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    assert rows == [("runs",)]


def test_commits_wait_for_the_disk_whatever_the_database_says(postgres: PostgresServer) -> None:
    url = fresh(postgres.new_database())
    postgres.execute(f"ALTER DATABASE {url.rpartition('/')[2]} SET synchronous_commit = off")

    async def body() -> list[tuple[object, ...]]:
        journal = await PostgresJournal.open(url)
        assert journal._writer is not None
        connection = await journal._writer._connect()
        cursor = await connection.execute("SHOW synchronous_commit")
        rows: list[tuple[object, ...]] = await cursor.fetchall()
        await journal.close()
        return rows

    assert asyncio.run(body()) == [("on",)]


def test_the_statements_know_which_phases_are_final() -> None:
    for name in ("unfinished_runs", "orphaned"):
        assert f"phase < {FIRST_FINAL_CODE}" in STATEMENTS[name]


INDEXES = {
    "run": ["runs_run_key"],
    "run_number": ["runs_run_key"],
    "run_age": ["runs_run_key"],
    "runs_by_age": ["runs_by_age"],
    "runs_by_task": ["runs_by_task"],
    "runs_by_phases": ["runs_by_phase"],
    "runs_by_label": ["runs_by_label", "runs_pkey"],
    "unfinished_runs": ["runs_by_phase"],
    "runs_by_prefix": ["runs_run_key"],
    "run_names_by_age": ["runs_by_age"],
    "action": ["actions_by_id"],
    "actions": ["actions_pkey"],
    "actions_by_phases": ["actions_by_phase"],
    "actions_by_parent": ["actions_by_parent"],
    "count_actions": ["actions_by_phase"],
    "attempts": ["actions_by_id", "attempts_pkey"],
    "changes": ["changes_pkey"],
    "spec": ["specs_pkey"],
    "specs_by_use": ["specs_by_use"],
    "actions_by_prefix": ["actions_by_id"],
    "actions_named": ["actions_by_id"],
    "last_change": ["changes_pkey"],
    "find_heads": ["runs_run_key", "leases_pkey", "changes_pkey", "actions_pkey"],
    "find_places": ["actions_by_id"],
    "update_actions": ["actions_pkey"],
    "delete_labels": ["run_labels_pkey"],
    "delete_run": ["runs_pkey"],
    "delete_lease": ["leases_pkey"],
    "sweep_changes": ["changes_pkey"],
    "sweep_attempts": ["attempts_pkey", "actions_pkey"],
    "sweep_actions": ["actions_pkey"],
    "unmark_deleted": ["deleted_runs_pkey"],
    "committed_groups": ["writers_pkey"],
    "fence": ["leases_pkey"],
    "take_unowned": ["runs_run_key", "leases_pkey"],
    "acquire": ["runs_run_key", "leases_pkey"],
    "owner": ["runs_run_key", "leases_pkey"],
    "extend": ["runs_run_key", "leases_pkey"],
    "give_back": ["runs_run_key", "leases_pkey"],
    "orphaned": ["runs_by_phase", "leases_pkey"],
}
SMALL_SORTS = {
    "attempts",
    "orphaned",
    "runs_by_label",
    "runs_by_phases",
    "actions_by_phases",
    "actions_by_parent",
    "take_unowned",
}
"""They sort what is live, the attempts of one action, or a slice for each phase."""
WITHOUT_A_SEARCH = {
    "mark_group",
    "forget_writer",
    "next_numbers",
    "upsert_specs",
    "upsert_runs",
    "insert_labels",
    "insert_actions",
    "upsert_attempts",
    "insert_changes",
    "insert_leases",
    "mark_deleted",
    "deleted_runs",
}

TYPES = {
    "action": "'x'::bytea",
    "lowest": "'x'::bytea",
    "highest": "'xx'::bytea",
    "parent": "'x'::bytea",
    "actions": "ARRAY['x'::bytea]",
    "created_at": str((1 << 63) - 1),
    "since": str(-(1 << 63)),
    "duration": "interval '1 s'",
    **dict.fromkeys(("run", "task", "key", "value", "spec", "owner", "writer", "prefix"), "'x'"),
    **dict.fromkeys(("runs", "dead"), "ARRAY['x']"),
    **dict.fromkeys(("numbers", "tokens", "phases"), "ARRAY[1]"),
}


@pytest.fixture(scope="module")
def filled(postgres: PostgresServer) -> str:
    """A database whose planner has something to choose from."""
    url = fresh(postgres.new_database())
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO volant.actions SELECT (1::bigint << 32) + n, 1, int4send(n), int4send(n / 100), 't',"
            " CASE n % 50 WHEN 0 THEN 4 ELSE 11 END, n, n, n, '' FROM generate_series(1, 20000) AS t (n)"
        )
        connection.execute(
            "INSERT INTO volant.runs SELECT n, 'r' || n, 't' || n % 5, CASE n % 50 WHEN 0 THEN 4 ELSE 11 END, n, n, '',"
            " 1, '' FROM generate_series(1, 5000) AS t (n)"
        )
        connection.execute("INSERT INTO volant.specs SELECT 's' || n, '', n FROM generate_series(1, 5000) AS t (n)")
        connection.execute("VACUUM ANALYZE")
    return url


def test_every_statement_is_known_to_these_tests() -> None:
    assert set(STATEMENTS) == set(INDEXES) | WITHOUT_A_SEARCH


@pytest.mark.parametrize("name", INDEXES)
def test_every_question_goes_along_an_index_and_sorts_nothing(filled: str, name: str) -> None:
    statement = re.sub(r"%\((\w+)\)s", lambda match: TYPES.get(match[1], "1"), STATEMENTS[name])
    statement = re.sub(r"%s::(\w+)\[\]", r"ARRAY[NULL::\1]", statement)
    with psycopg.connect(filled) as connection:
        # Of small tables the planner would rather read all.
        for setting in ("seqscan", "bitmapscan", "hashjoin", "mergejoin"):
            connection.execute(f"SET enable_{setting} = off".encode())
        steps = [row[0] for row in connection.execute(f"EXPLAIN {statement}".encode()).fetchall()]
    for index in INDEXES[name]:
        assert any(re.search(rf"Index.* using {index} ", step) for step in steps), steps
    assert not [step for step in steps if "Seq Scan" in step], steps
    assert name in SMALL_SORTS or not [step for step in steps if "Sort" in step], steps
