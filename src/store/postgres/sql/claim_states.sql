-- One row a claim, in their order. `OFFSET 0` makes each a look at an index, however many there are.
SELECT claim.seq IS NOT NULL, claim.answer, claim.epoch, claim.left_ms, ended.hop, last.seq
FROM unnest($3::bigint[], $4::integer[], $5::uuid[]) WITH ORDINALITY AS given (seq, attempt, key_id, place)
LEFT JOIN lanes ON lanes.topic = $1 AND lanes.partition = $2
LEFT JOIN LATERAL (
    SELECT claims.seq, answer, epoch,
        expires_at - (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS left_ms
    FROM claims WHERE claims.lane = lanes.lane AND claims.seq = given.seq AND claims.attempt = given.attempt
    OFFSET 0
) AS claim ON true
LEFT JOIN LATERAL (
    SELECT hop FROM ends WHERE ends.lane = lanes.lane AND ends.seq = given.seq OFFSET 0
) AS ended ON true
LEFT JOIN LATERAL (
    SELECT seq FROM last_claims WHERE last_claims.lane = lanes.lane AND last_claims.key_id = given.key_id OFFSET 0
) AS last ON true
ORDER BY given.place
