INSERT INTO parked_records (lane, seq, expires_at, key, headers, value)
SELECT $1::integer, given.*
FROM unnest($2::bigint[], $3::bigint[], $4::bytea[], $5::bytea[], $6::bytea[])
    AS given (seq, expires_at, key, headers, value)
ON CONFLICT (lane, seq) DO UPDATE SET
    expires_at = excluded.expires_at, key = excluded.key, headers = excluded.headers, value = excluded.value
