-- An answer is never taken back: whoever got this claim saw none.
INSERT INTO claims (lane, seq, attempt, epoch, expires_at)
SELECT $1::integer, given.seq, given.attempt, $4::bigint,
    (extract(epoch FROM clock_timestamp()) * 1000)::bigint + $5::bigint
FROM unnest($2::bigint[], $3::integer[]) AS given (seq, attempt)
ON CONFLICT (lane, seq, attempt) DO UPDATE SET epoch = excluded.epoch, expires_at = excluded.expires_at
