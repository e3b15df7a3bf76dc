-- At most $2 rows and $3 bytes, unless the first is larger. What a lane is writing now is left to the next call.
WITH old AS MATERIALIZED (
    SELECT digest, received_at, octet_length(bytes) AS len
    FROM payloads WHERE received_at < $1
    ORDER BY received_at LIMIT $2
    FOR UPDATE SKIP LOCKED
), summed AS (
    SELECT digest, len, sum(len) OVER (ORDER BY received_at, digest) AS sum FROM old
)
DELETE FROM payloads USING summed WHERE payloads.digest = summed.digest AND (sum = len OR sum <= $3)
