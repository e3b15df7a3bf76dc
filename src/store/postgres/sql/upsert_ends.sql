INSERT INTO ends AS stored (lane, seq, hop, batch, died_at)
SELECT $1::integer, given.seq, given.hop, $2::bigint, given.died_at
FROM unnest($3::bigint[], $4::bigint[], $5::bigint[]) AS given (seq, hop, died_at)
ON CONFLICT (lane, seq) DO UPDATE SET
    hop = excluded.hop, batch = excluded.batch, died_at = coalesce(excluded.died_at, stored.died_at)
