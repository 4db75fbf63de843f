-- Deleting a run: it is forgotten in one small transaction, its rows are swept away in others.

-- name: mark_deleted
INSERT INTO volant.deleted_runs (number) VALUES (%(number)s)

-- name: delete_run
DELETE FROM volant.runs WHERE number = %(number)s

-- name: delete_lease
DELETE FROM volant.leases WHERE run_number = %(number)s

-- name: deleted_runs
SELECT number FROM volant.deleted_runs ORDER BY number

-- name: sweep_changes
DELETE FROM volant.changes WHERE key IN (
    SELECT key FROM volant.changes WHERE key >= %(first)s AND key < %(end)s ORDER BY key LIMIT %(limit)s
)

-- name: sweep_attempts
DELETE FROM volant.attempts WHERE action_key >= %(first)s AND action_key < (
    SELECT coalesce(max(key) + 1, %(end)s) FROM (
        SELECT key FROM volant.actions WHERE key >= %(first)s AND key < %(end)s ORDER BY key LIMIT %(limit)s
    ) AS swept
)

-- name: sweep_actions
DELETE FROM volant.actions WHERE key IN (
    SELECT key FROM volant.actions WHERE key >= %(first)s AND key < %(end)s ORDER BY key LIMIT %(limit)s
)

-- name: unmark_deleted
DELETE FROM volant.deleted_runs WHERE number = %(number)s
