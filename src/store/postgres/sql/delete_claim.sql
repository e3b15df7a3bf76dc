DELETE FROM claims USING lanes
WHERE lanes.topic = $1 AND lanes.partition = $2 AND lanes.epoch = $3
    AND claims.lane = lanes.lane AND claims.seq = $4 AND claims.attempt = $5 AND claims.answer IS NULL
