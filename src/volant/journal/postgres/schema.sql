-- The journal's tables on Postgres, as all migrations together leave them; a test compares the two.
--
-- As on SQLite: a run has a number, never used twice; the key of an action is run number * 2^32 + position, that of a
-- change is run number * 2^32 + seq. Instants are microseconds since 1970 UTC, those that the server compares with its
-- own clock are timestamps. Phases and the bodies are described in volant/journal/rows.py. Names sort by code point.

CREATE SCHEMA IF NOT EXISTS volant;

CREATE TABLE volant.schema_version (
    version integer PRIMARY KEY,
    name text NOT NULL,
    applied_at bigint NOT NULL
);

CREATE TABLE volant.specs (
    spec text COLLATE "C" PRIMARY KEY,
    body bytea NOT NULL,
    used_at bigint NOT NULL
);
CREATE INDEX specs_by_use ON volant.specs (used_at, spec);

CREATE SEQUENCE volant.run_numbers AS bigint MAXVALUE 2147483647;

CREATE TABLE volant.runs (
    number bigint PRIMARY KEY,
    run text COLLATE "C" NOT NULL UNIQUE,
    task text COLLATE "C" NOT NULL,
    phase smallint NOT NULL,
    created_at bigint NOT NULL,
    ended_at bigint,
    owner text NOT NULL,
    token bigint NOT NULL,
    body bytea NOT NULL
);
CREATE INDEX runs_by_age ON volant.runs (created_at, run);
CREATE INDEX runs_by_phase ON volant.runs (phase, created_at, run);
CREATE INDEX runs_by_task ON volant.runs (task, created_at, run);

CREATE TABLE volant.run_labels (
    run_number bigint NOT NULL,
    key text COLLATE "C" NOT NULL,
    value text COLLATE "C" NOT NULL,
    created_at bigint NOT NULL,
    run text COLLATE "C" NOT NULL,
    PRIMARY KEY (run_number, key)
);
CREATE INDEX runs_by_label ON volant.run_labels (key, value, created_at, run);

-- Who may write a run. Nobody ('') until '-infinity' is one that anybody may take.
CREATE TABLE volant.leases (
    run_number bigint PRIMARY KEY,
    owner text NOT NULL,
    token bigint NOT NULL,
    until timestamptz NOT NULL
) WITH (fillfactor = 50);

-- How many groups each writer has committed: what a writer asks that lost its connection during a COMMIT.
CREATE TABLE volant.writers (
    writer text PRIMARY KEY,
    groups bigint NOT NULL,
    at timestamptz NOT NULL
) WITH (fillfactor = 50);

-- Runs that were deleted and whose rows below are still being swept away.
CREATE TABLE volant.deleted_runs (
    number bigint PRIMARY KEY
);

CREATE TABLE volant.actions (
    key bigint PRIMARY KEY,
    run_number bigint NOT NULL,
    action bytea NOT NULL,
    parent bytea,
    task text NOT NULL,
    phase smallint NOT NULL,
    created_at bigint NOT NULL,
    ended_at bigint,
    outcome_seq bigint,
    body bytea NOT NULL
);
CREATE UNIQUE INDEX actions_by_id ON volant.actions (run_number, action);
CREATE INDEX actions_by_parent ON volant.actions (run_number, parent, phase, key);
CREATE INDEX actions_by_phase ON volant.actions (run_number, phase, key);

CREATE TABLE volant.attempts (
    action_key bigint NOT NULL,
    attempt bigint NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (action_key, attempt)
);

CREATE TABLE volant.changes (
    key bigint PRIMARY KEY,
    body bytea NOT NULL
);
