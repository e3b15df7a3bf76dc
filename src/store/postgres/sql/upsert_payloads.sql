INSERT INTO payloads (digest, received_at, bytes)
SELECT * FROM unnest($1::bytea[], $2::bigint[], $3::bytea[])
ON CONFLICT (digest) DO UPDATE SET received_at = excluded.received_at
WHERE payloads.received_at < excluded.received_at
