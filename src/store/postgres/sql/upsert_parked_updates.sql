-- A row that stays as it is is not written.
INSERT INTO parked_updates AS stored (lane, order_id, record_offset, revision, expires_at, traceparent, value)
SELECT $1::integer, given.*
FROM unnest($2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bytea[], $7::bytea[]) AS given
ON CONFLICT (order_id, record_offset) DO UPDATE SET
    revision = excluded.revision, expires_at = excluded.expires_at, traceparent = excluded.traceparent,
    value = excluded.value
WHERE (stored.revision, stored.expires_at, stored.traceparent, stored.value)
    IS DISTINCT FROM (excluded.revision, excluded.expires_at, excluded.traceparent, excluded.value)
