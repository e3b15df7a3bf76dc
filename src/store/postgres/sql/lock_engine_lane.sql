-- As `lock_lane.sql`.
SELECT lane, epoch, batch FROM lanes WHERE topic = $1 AND partition = $2 FOR NO KEY UPDATE
