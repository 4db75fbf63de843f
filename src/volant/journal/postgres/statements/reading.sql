-- What readers ask. Lists are read in slices, by key, so that no answer is large.
--
-- A list along an index names all its columns, in conditions on rows and in the order, though most of them are equal:
-- so no other index gives the order, and the planner cannot believe that walking through another one soon finds enough.

-- name: run_number
SELECT number FROM volant.runs WHERE run = %(run)s

-- name: run
SELECT run, task, phase, created_at, ended_at, owner, token, body FROM volant.runs WHERE run = %(run)s

-- name: run_age
SELECT created_at FROM volant.runs WHERE run = %(run)s

-- name: runs_by_age
SELECT run, task, phase, created_at, ended_at, owner, token, body FROM volant.runs
WHERE (created_at, run) < (%(created_at)s, %(run)s) AND created_at >= %(since)s
ORDER BY created_at DESC, run DESC LIMIT %(limit)s

-- name: runs_by_task
SELECT run, task, phase, created_at, ended_at, owner, token, body FROM volant.runs
WHERE (task, created_at, run) < (%(task)s, %(created_at)s, %(run)s)
    AND (task, created_at, run) >= (%(task)s, %(since)s, '')
ORDER BY task DESC, created_at DESC, run DESC LIMIT %(limit)s

-- name: runs_by_phases
-- Each phase along its own part of the index, then the newest of all.
SELECT r.run, r.task, r.phase, r.created_at, r.ended_at, r.owner, r.token, r.body
FROM unnest(%(phases)s::smallint[]) AS p (phase) CROSS JOIN LATERAL (
    SELECT * FROM volant.runs AS r
    WHERE (r.phase, r.created_at, r.run) < (p.phase, %(created_at)s, %(run)s)
        AND (r.phase, r.created_at, r.run) >= (p.phase, %(since)s, '')
    ORDER BY r.phase DESC, r.created_at DESC, r.run DESC LIMIT %(limit)s
) AS r
ORDER BY r.created_at DESC, r.run DESC LIMIT %(limit)s

-- name: runs_by_label
SELECT r.run, r.task, r.phase, r.created_at, r.ended_at, r.owner, r.token, r.body
FROM (
    SELECT * FROM volant.run_labels AS l
    WHERE (l.key, l.value, l.created_at, l.run) < (%(key)s, %(value)s, %(created_at)s, %(run)s)
        AND (l.key, l.value, l.created_at, l.run) >= (%(key)s, %(value)s, %(since)s, '')
    ORDER BY l.key DESC, l.value DESC, l.created_at DESC, l.run DESC LIMIT %(limit)s
) AS l JOIN volant.runs AS r ON r.number = l.run_number
ORDER BY l.created_at DESC, l.run DESC

-- name: unfinished_runs
-- 11 is the first code of a final phase.
SELECT run, task, phase, created_at, ended_at, owner, token, body FROM volant.runs WHERE phase < 11

-- name: runs_by_prefix
SELECT created_at, run FROM volant.runs WHERE run >= %(prefix)s AND run < %(prefix)s || chr(1114111)
LIMIT %(limit)s

-- name: run_names_by_age
SELECT created_at, run FROM volant.runs
WHERE (created_at, run) < (%(created_at)s, %(run)s)
ORDER BY created_at DESC, run DESC LIMIT %(limit)s

-- name: action
SELECT action, parent, task, phase, created_at, ended_at, outcome_seq, body
FROM volant.actions WHERE run_number = %(run_number)s AND action = %(action)s

-- name: actions_named
SELECT action, parent, task, phase, created_at, ended_at, outcome_seq, body
FROM volant.actions WHERE run_number = %(run_number)s AND action = ANY(%(actions)s::bytea[])

-- name: actions_by_prefix
SELECT action FROM volant.actions
WHERE run_number = %(run_number)s AND action >= %(lowest)s AND action <= %(highest)s ORDER BY action LIMIT %(limit)s

-- name: actions
SELECT key, action, parent, task, phase, created_at, ended_at, outcome_seq, body
FROM volant.actions WHERE key > %(after)s AND key < %(end)s ORDER BY key LIMIT %(limit)s

-- name: actions_by_phases
SELECT a.key, a.action, a.parent, a.task, a.phase, a.created_at, a.ended_at, a.outcome_seq, a.body
FROM unnest(%(phases)s::smallint[]) AS p (phase) CROSS JOIN LATERAL (
    SELECT * FROM volant.actions AS a
    WHERE (a.run_number, a.phase, a.key) > (%(run_number)s, p.phase, %(after)s)
        AND (a.run_number, a.phase, a.key) < (%(run_number)s, p.phase, %(end)s)
    ORDER BY a.run_number, a.phase, a.key LIMIT %(limit)s
) AS a
ORDER BY a.key LIMIT %(limit)s

-- name: actions_by_parent
SELECT a.key, a.action, a.parent, a.task, a.phase, a.created_at, a.ended_at, a.outcome_seq, a.body
FROM unnest(%(phases)s::smallint[]) AS p (phase) CROSS JOIN LATERAL (
    SELECT * FROM volant.actions AS a
    WHERE (a.run_number, a.parent, a.phase, a.key) > (%(run_number)s, %(parent)s, p.phase, %(after)s)
        AND (a.run_number, a.parent, a.phase, a.key) < (%(run_number)s, %(parent)s, p.phase, %(end)s)
    ORDER BY a.run_number, a.parent, a.phase, a.key LIMIT %(limit)s
) AS a
ORDER BY a.key LIMIT %(limit)s

-- name: count_actions
SELECT phase, count(*) FROM volant.actions WHERE run_number = %(run_number)s GROUP BY phase

-- name: attempts
SELECT t.attempt, t.body
FROM volant.actions AS a JOIN volant.attempts AS t ON t.action_key = a.key
WHERE a.run_number = %(run_number)s AND a.action = %(action)s ORDER BY t.attempt

-- name: changes
SELECT key, body FROM volant.changes WHERE key > %(after)s AND key < %(end)s ORDER BY key LIMIT %(limit)s

-- name: last_change
SELECT max(key) FROM volant.changes WHERE key >= %(first)s AND key < %(end)s

-- name: spec
SELECT spec, body, used_at FROM volant.specs WHERE spec = %(spec)s

-- name: specs_by_use
SELECT spec, body, used_at FROM volant.specs ORDER BY used_at DESC, spec DESC LIMIT %(limit)s
