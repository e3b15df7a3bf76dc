SELECT record_offset, seq, batch, decision, effects
FROM lane_decisions
WHERE lane = (SELECT lane FROM lanes WHERE lanes.topic = $1 AND partition = $2)
    AND topic = $3 AND record_offset >= $4 AND record_offset < $5
ORDER BY record_offset
