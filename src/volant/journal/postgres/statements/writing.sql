-- What the writer does in a transaction.

-- name: mark_group
-- Locked until the end of the transaction, so that who asks for it afterwards waits for its outcome.
INSERT INTO volant.writers AS w (writer, groups, at) VALUES (%(writer)s, %(group)s, now())
ON CONFLICT (writer) DO UPDATE SET groups = excluded.groups, at = excluded.at

-- name: committed_groups
SELECT groups FROM volant.writers WHERE writer = %(writer)s FOR UPDATE

-- name: forget_writer
DELETE FROM volant.writers WHERE writer = %(writer)s OR at < now() - interval '30 days'

-- name: find_heads
-- How far runs have come, and who may write them.
SELECT
    r.run,
    r.number,
    (SELECT max(key) FROM volant.changes WHERE key > r.number << 32 AND key < (r.number + 1) << 32),
    (SELECT max(key) FROM volant.actions WHERE key > r.number << 32 AND key < (r.number + 1) << 32),
    l.owner,
    l.token
FROM volant.runs AS r JOIN volant.leases AS l ON l.run_number = r.number
WHERE r.run = ANY(%(runs)s::text[])

-- name: find_places
SELECT a.run_number, a.action, a.key
FROM unnest(%(numbers)s::bigint[], %(actions)s::bytea[]) AS w (number, action)
JOIN volant.actions AS a ON a.run_number = w.number AND a.action = w.action

-- name: next_numbers
SELECT nextval('volant.run_numbers') FROM generate_series(1, %(count)s::integer)

-- name: upsert_specs
INSERT INTO volant.specs (spec, body, used_at) SELECT * FROM unnest(%s::text[], %s::bytea[], %s::bigint[])
ON CONFLICT (spec) DO UPDATE SET body = excluded.body, used_at = excluded.used_at

-- name: upsert_runs
INSERT INTO volant.runs (number, run, task, phase, created_at, ended_at, owner, token, body)
SELECT * FROM unnest(
    %s::bigint[], %s::text[], %s::text[], %s::smallint[], %s::bigint[], %s::bigint[], %s::text[], %s::bigint[], %s::bytea[]
)
ON CONFLICT (number) DO UPDATE SET
    task = excluded.task, phase = excluded.phase, created_at = excluded.created_at, ended_at = excluded.ended_at,
    owner = excluded.owner, token = excluded.token, body = excluded.body

-- name: delete_labels
DELETE FROM volant.run_labels WHERE run_number = ANY(%(numbers)s::bigint[])

-- name: insert_labels
INSERT INTO volant.run_labels (run_number, key, value, created_at, run)
SELECT * FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::bigint[], %s::text[])

-- name: insert_actions
INSERT INTO volant.actions (key, action, parent, task, phase, created_at, ended_at, outcome_seq, body, run_number)
SELECT *, key >> 32 FROM unnest(
    %s::bigint[], %s::bytea[], %s::bytea[], %s::text[], %s::smallint[], %s::bigint[], %s::bigint[], %s::bigint[],
    %s::bytea[]
) AS t (key)

-- name: update_actions
UPDATE volant.actions AS a
SET parent = t.parent, task = t.task, phase = t.phase, created_at = t.created_at, ended_at = t.ended_at,
    outcome_seq = t.outcome_seq, body = t.body
FROM unnest(
    %s::bigint[], %s::bytea[], %s::bytea[], %s::text[], %s::smallint[], %s::bigint[], %s::bigint[], %s::bigint[],
    %s::bytea[]
) AS t (key, action, parent, task, phase, created_at, ended_at, outcome_seq, body)
WHERE a.key = t.key

-- name: upsert_attempts
INSERT INTO volant.attempts (action_key, attempt, body) SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::bytea[])
ON CONFLICT (action_key, attempt) DO UPDATE SET body = excluded.body

-- name: insert_changes
INSERT INTO volant.changes (key, body) SELECT * FROM unnest(%s::bigint[], %s::bytea[])
