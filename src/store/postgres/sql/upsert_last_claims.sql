INSERT INTO last_claims AS stored (lane, key_id, seq, claimed_at)
SELECT $1::integer, given.key_id, given.seq, $4::bigint
FROM unnest($2::uuid[], $3::bigint[]) AS given (key_id, seq)
ON CONFLICT (lane, key_id) DO UPDATE SET
    seq = greatest(stored.seq, excluded.seq), claimed_at = excluded.claimed_at
