-- Who may write a run, on the server's clock. Whoever takes a lease from another locks its row FOR UPDATE: that waits for
-- commits of the earlier owner that are under way, which hold it FOR KEY SHARE. Extending and giving back do not wait.

-- name: fence
-- Which of the given leases are still held; nobody can take them before this transaction has ended.
SELECT l.run_number FROM volant.leases AS l
JOIN unnest(%(numbers)s::bigint[], %(tokens)s::bigint[]) AS h (number, token)
    ON l.run_number = h.number AND l.token = h.token
WHERE l.owner = %(owner)s
FOR KEY SHARE OF l

-- name: take_unowned
WITH unowned AS (
    SELECT l.run_number FROM volant.leases AS l JOIN volant.runs AS r ON r.number = l.run_number
    WHERE r.run = ANY(%(runs)s::text[]) AND l.owner = '' ORDER BY l.run_number FOR UPDATE OF l
)
UPDATE volant.leases AS l SET owner = %(owner)s, token = l.token + 1, until = clock_timestamp() + %(duration)s
FROM unowned WHERE l.run_number = unowned.run_number

-- name: insert_leases
INSERT INTO volant.leases (run_number, owner, token, until)
SELECT number, %(owner)s, 1, clock_timestamp() + %(duration)s FROM unnest(%(numbers)s::bigint[]) AS t (number)

-- name: acquire
WITH wanted AS (
    SELECT l.run_number FROM volant.leases AS l JOIN volant.runs AS r ON r.number = l.run_number
    WHERE r.run = %(run)s
        AND (l.until <= clock_timestamp() OR l.owner = %(owner)s OR l.owner = ANY(%(dead)s::text[])) FOR UPDATE OF l
)
UPDATE volant.leases AS l
SET owner = %(owner)s, token = l.token + 1, until = clock_timestamp() + %(duration)s
FROM wanted WHERE l.run_number = wanted.run_number
RETURNING l.token

-- name: owner
SELECT l.owner, greatest(l.until - clock_timestamp(), interval '0')
FROM volant.leases AS l JOIN volant.runs AS r ON r.number = l.run_number WHERE r.run = %(run)s

-- name: extend
UPDATE volant.leases AS l SET until = clock_timestamp() + %(duration)s
FROM unnest(%(runs)s::text[], %(tokens)s::bigint[]) AS h (run, token) JOIN volant.runs AS r ON r.run = h.run
WHERE l.run_number = r.number AND l.token = h.token AND l.owner = %(owner)s
RETURNING h.run

-- name: give_back
UPDATE volant.leases AS l SET owner = '', until = '-infinity'
FROM unnest(%(runs)s::text[], %(tokens)s::bigint[]) AS h (run, token) JOIN volant.runs AS r ON r.run = h.run
WHERE l.run_number = r.number AND l.token = h.token AND l.owner = %(owner)s

-- name: orphaned
-- 11 is the first code of a final phase. Sorted apart, lest the planner go through all runs by age.
WITH unfinished AS MATERIALIZED (SELECT number, run, created_at FROM volant.runs WHERE phase < 11)
SELECT r.run FROM unfinished AS r JOIN volant.leases AS l ON l.run_number = r.number
WHERE l.until <= clock_timestamp() OR l.owner = ANY(%(dead)s::text[]) ORDER BY r.created_at, r.run
