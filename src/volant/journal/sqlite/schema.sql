-- The journal's tables on SQLite, as all migrations together leave them; a test compares the two.
--
-- A run has a number, never used twice while rows of it are left. The key of an action is
-- run number * 2^32 + position, that of a change is run number * 2^32 + seq: one run is one range.
-- Instants are microseconds since 1970 UTC. Phases and the bodies are described in volant/journal/rows.py.

CREATE TABLE schema_version (
    version INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    applied_at INTEGER NOT NULL
) STRICT;

CREATE TABLE specs (
    number INTEGER PRIMARY KEY,
    spec TEXT NOT NULL UNIQUE,
    body BLOB NOT NULL
, used_at INTEGER NOT NULL DEFAULT 0) STRICT;
CREATE INDEX specs_by_use ON specs (used_at, spec);

CREATE TABLE runs (
    number INTEGER PRIMARY KEY,
    run TEXT NOT NULL UNIQUE,
    task TEXT NOT NULL,
    phase INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    ended_at INTEGER,
    owner TEXT NOT NULL,
    token INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE INDEX runs_by_age ON runs (created_at, run);
CREATE INDEX runs_by_phase ON runs (phase, created_at, run);
CREATE INDEX runs_by_task ON runs (task, created_at, run);

CREATE TABLE run_labels (
    run_number INTEGER NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    run TEXT NOT NULL,
    PRIMARY KEY (run_number, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX runs_by_label ON run_labels (key, value, created_at, run);

-- Runs that were deleted and whose rows below are still being swept away.
CREATE TABLE deleted_runs (
    number INTEGER PRIMARY KEY
) STRICT;

CREATE TABLE actions (
    key INTEGER PRIMARY KEY,
    run_number INTEGER NOT NULL,
    action BLOB NOT NULL,
    parent BLOB,
    task TEXT NOT NULL,
    phase INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    ended_at INTEGER,
    outcome_seq INTEGER,
    body BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX actions_by_id ON actions (run_number, action);
CREATE INDEX actions_by_parent ON actions (run_number, parent, phase);
CREATE INDEX actions_by_phase ON actions (run_number, phase);

CREATE TABLE attempts (
    action_key INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (action_key, attempt)
) STRICT, WITHOUT ROWID;

CREATE TABLE changes (
    key INTEGER PRIMARY KEY,
    body BLOB NOT NULL
) STRICT;
