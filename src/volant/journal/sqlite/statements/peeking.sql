-- What shell completion asks, beside a running engine.

-- name: peek_runs_by_age
SELECT run, task, phase FROM runs
WHERE (created_at, run) < (:created_at, :run)
ORDER BY created_at DESC, run DESC LIMIT :limit

-- name: peek_runs_by_prefix
SELECT run, task, phase FROM runs WHERE run >= :prefix AND run < :prefix || char(1114111) LIMIT :limit

-- name: peek_next_task
SELECT task FROM runs WHERE task > :after ORDER BY task LIMIT 1

-- name: peek_actions
SELECT action, task, phase FROM actions WHERE key > :after AND key < :end ORDER BY key LIMIT :limit
