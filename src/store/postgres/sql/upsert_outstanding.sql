-- `since` stays, and what a head failed of unless it failed again. Role 0: head.
INSERT INTO outstanding AS stored (lane, since, moved_at, seq, key_id, key, tenant_id, topic, hop, attempts, round,
    role, is_passing, failure)
SELECT $1::integer, $2::bigint, $2::bigint, given.*
FROM unnest($3::bigint[], $4::uuid[], $5::bytea[], $6::bytea[], $7::smallint[], $8::bigint[], $9::integer[],
    $10::smallint[], $11::smallint[], $12::boolean[], $13::bytea[])
    AS given (seq, key_id, key, tenant_id, topic, hop, attempts, round, role, is_passing, failure)
ON CONFLICT (lane, seq) DO UPDATE SET
    moved_at = excluded.moved_at, topic = excluded.topic, hop = excluded.hop, attempts = excluded.attempts,
    round = excluded.round, role = excluded.role, is_passing = excluded.is_passing,
    failure = CASE WHEN excluded.role = 0 THEN coalesce(excluded.failure, stored.failure) END
