-- Returns the origins that had no decision. By an older epoch, or of a batch written before, nothing is inserted.
INSERT INTO lane_decisions (lane, topic, record_offset, seq, batch, decision, effects)
SELECT lanes.lane, given.topic, given.record_offset, given.seq, given.batch, given.decision, given.effects
FROM lanes, unnest($5::smallint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bytea[], $10::bytea[])
    AS given (topic, record_offset, seq, batch, decision, effects)
WHERE lanes.topic = $1 AND lanes.partition = $2 AND lanes.epoch = $3 AND lanes.batch < $4
ON CONFLICT DO NOTHING
RETURNING topic, record_offset
