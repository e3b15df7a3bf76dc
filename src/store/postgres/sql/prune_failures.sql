DELETE FROM failures WHERE number = ANY (ARRAY(
    SELECT number FROM failures WHERE failed_at < $1 ORDER BY failed_at LIMIT $2 FOR UPDATE SKIP LOCKED))
