-- Deleting a run: it is forgotten in one small transaction, its rows are swept away in others.

-- name: mark_deleted
INSERT INTO deleted_runs (number) VALUES (?)

-- name: delete_run
DELETE FROM runs WHERE number = ?

-- name: deleted_runs
SELECT number FROM deleted_runs ORDER BY number

-- name: first_change
SELECT min(key) FROM changes WHERE key >= ? AND key < ?

-- name: sweep_changes
DELETE FROM changes WHERE key >= ? AND key < ?

-- name: first_attempt
SELECT min(action_key) FROM attempts WHERE action_key >= ? AND action_key < ?

-- name: sweep_attempts
DELETE FROM attempts WHERE action_key >= ? AND action_key < ?

-- name: first_action
SELECT min(key) FROM actions WHERE key >= ? AND key < ?

-- name: sweep_actions
DELETE FROM actions WHERE key >= ? AND key < ?

-- name: unmark_deleted
DELETE FROM deleted_runs WHERE number = ?
