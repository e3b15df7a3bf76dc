INSERT INTO released_records (lane, decided, batch, seq, effects)
SELECT lanes.lane, lanes.decided, given.*
FROM lanes, unnest($2::bigint[], $3::bigint[], $4::bytea[]) AS given (batch, seq, effects)
WHERE lanes.lane = $1
ON CONFLICT DO NOTHING
