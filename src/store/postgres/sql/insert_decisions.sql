-- Returns the origins that had no decision. By an older epoch nothing is inserted.
INSERT INTO decisions (lane, record_offset, released, outcome, decided_at, effects)
SELECT lanes.lane, given.record_offset, given.released, given.outcome, given.decided_at, given.effects
FROM lanes, unnest($4::bigint[], $5::bigint[], $6::smallint[], $7::bigint[], $8::bytea[]) WITH ORDINALITY
    AS given (record_offset, released, outcome, decided_at, effects, place)
WHERE lanes.topic = $1 AND lanes.partition = $2 AND lanes.epoch = $3
ORDER BY given.place
ON CONFLICT DO NOTHING
RETURNING record_offset, released
