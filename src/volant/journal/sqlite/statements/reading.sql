-- What readers ask. Lists are read in slices, by key, so that no answer holds the loop for long.

-- name: run_number
SELECT number FROM runs WHERE run = ?

-- name: run
SELECT run, task, phase, created_at, ended_at, owner, token, body FROM runs WHERE run = ?

-- name: run_age
SELECT created_at FROM runs WHERE run = ?

-- name: runs_by_age
SELECT run, task, phase, created_at, ended_at, owner, token, body FROM runs
WHERE (created_at, run) < (:created_at, :run) AND created_at >= :since
ORDER BY created_at DESC, run DESC LIMIT :limit

-- name: runs_by_task
SELECT run, task, phase, created_at, ended_at, owner, token, body FROM runs
WHERE task = :task AND (created_at, run) < (:created_at, :run) AND created_at >= :since
ORDER BY created_at DESC, run DESC LIMIT :limit

-- name: runs_by_phase
SELECT run, task, phase, created_at, ended_at, owner, token, body FROM runs
WHERE phase = :phase AND (created_at, run) < (:created_at, :run) AND created_at >= :since
ORDER BY created_at DESC, run DESC LIMIT :limit

-- name: runs_by_label
SELECT r.run, r.task, r.phase, r.created_at, r.ended_at, r.owner, r.token, r.body
FROM run_labels AS l CROSS JOIN runs AS r ON r.number = l.run_number
WHERE l.key = :key AND l.value = :value
    AND (l.created_at, l.run) < (:created_at, :run) AND l.created_at >= :since
ORDER BY l.created_at DESC, l.run DESC LIMIT :limit

-- name: unfinished_runs
-- 11 is the first code of a final phase.
SELECT run, task, phase, created_at, ended_at, owner, token, body FROM runs WHERE phase < 11

-- name: runs_by_prefix
SELECT created_at, run FROM runs WHERE run >= :prefix AND run < :prefix || char(1114111) LIMIT :limit

-- name: run_names_by_age
SELECT created_at, run FROM runs
WHERE (created_at, run) < (:created_at, :run)
ORDER BY created_at DESC, run DESC LIMIT :limit

-- name: action
SELECT action, parent, task, phase, created_at, ended_at, outcome_seq, body
FROM actions WHERE run_number = ? AND action = ?

-- name: actions_by_prefix
SELECT action, task, phase FROM actions
WHERE run_number = :run_number AND action >= :lowest AND action <= :highest ORDER BY action LIMIT :limit

-- name: actions
SELECT key, action, parent, task, phase, created_at, ended_at, outcome_seq, body
FROM actions WHERE key > :after AND key < :end ORDER BY key LIMIT :limit

-- name: actions_by_phase
SELECT key, action, parent, task, phase, created_at, ended_at, outcome_seq, body
FROM actions WHERE run_number = :run_number AND phase = :phase AND key > :after ORDER BY key LIMIT :limit

-- name: actions_by_parent
SELECT key, action, parent, task, phase, created_at, ended_at, outcome_seq, body
FROM actions WHERE run_number = :run_number AND parent = :parent AND phase = :phase AND key > :after
ORDER BY key LIMIT :limit

-- name: count_actions
SELECT phase, count(*) FROM actions WHERE run_number = ? GROUP BY phase

-- name: attempts
SELECT attempt, body FROM attempts WHERE action_key = ? ORDER BY attempt

-- name: changes
SELECT key, body FROM changes WHERE key > :after AND key < :end ORDER BY key LIMIT :limit

-- name: last_change
SELECT max(key) FROM changes WHERE key >= :first AND key < :end

-- name: spec
SELECT spec, body, used_at FROM specs WHERE spec = ?

-- name: specs_by_use
SELECT spec, body, used_at FROM specs WHERE used_at <= ? ORDER BY used_at DESC, spec DESC LIMIT ?
