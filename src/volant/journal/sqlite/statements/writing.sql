-- What the writer does in a transaction.

-- name: begin
-- IMMEDIATE takes the write lock at once: no other process can write between what is looked up and what is stored.
BEGIN IMMEDIATE

-- name: find_head
-- How far a run has come: its number, its newest change and its newest action.
SELECT
    number,
    (SELECT max(key) FROM changes WHERE key > number << 32 AND key < (number + 1) << 32),
    (SELECT max(key) FROM actions WHERE key > number << 32 AND key < (number + 1) << 32)
FROM runs WHERE run = ?

-- name: find_place
SELECT key FROM actions WHERE run_number = ? AND action = ?

-- name: last_number
SELECT max(number) FROM (SELECT max(number) AS number FROM runs UNION ALL SELECT max(number) FROM deleted_runs)

-- name: upsert_spec
INSERT INTO specs (spec, body, used_at) VALUES (?, ?, ?)
ON CONFLICT (spec) DO UPDATE SET body = excluded.body, used_at = excluded.used_at
WHERE body <> excluded.body OR used_at <> excluded.used_at

-- name: upsert_run
INSERT INTO runs (number, run, task, phase, created_at, ended_at, owner, token, body)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (number) DO UPDATE SET
    task = excluded.task, phase = excluded.phase, created_at = excluded.created_at, ended_at = excluded.ended_at,
    owner = excluded.owner, token = excluded.token, body = excluded.body

-- name: delete_labels
DELETE FROM run_labels WHERE run_number = ?

-- name: insert_label
INSERT INTO run_labels (run_number, key, value, created_at, run) VALUES (?, ?, ?, ?, ?)

-- name: insert_action
INSERT INTO actions (key, run_number, action, parent, task, phase, created_at, ended_at, outcome_seq, body)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: update_action
UPDATE actions
SET parent = ?, task = ?, phase = ?, created_at = ?, ended_at = ?, outcome_seq = ?, body = ?
WHERE key = ?

-- name: upsert_attempt
INSERT INTO attempts (action_key, attempt, body) VALUES (?, ?, ?)
ON CONFLICT (action_key, attempt) DO UPDATE SET body = excluded.body

-- name: insert_change
INSERT INTO changes (key, body) VALUES (?, ?)
