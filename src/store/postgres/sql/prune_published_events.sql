DELETE FROM published_events WHERE id = ANY (ARRAY(
    SELECT id FROM published_events WHERE published_at < $1 ORDER BY published_at LIMIT $2 FOR UPDATE SKIP LOCKED))
