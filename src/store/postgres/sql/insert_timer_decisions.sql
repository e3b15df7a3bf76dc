-- Returns the timers that had no decision. By an older epoch nothing is inserted.
INSERT INTO timer_decisions (lane, number, record_offset, decided, outcome, decided_at, effects)
SELECT lanes.lane, given.number, given.record_offset, $4::bigint, given.outcome, given.decided_at, given.effects
FROM lanes, unnest($5::bigint[], $6::bigint[], $7::smallint[], $8::bigint[], $9::bytea[])
    AS given (number, record_offset, outcome, decided_at, effects)
WHERE lanes.topic = $1 AND lanes.partition = $2 AND lanes.epoch = $3
ON CONFLICT DO NOTHING
RETURNING number
