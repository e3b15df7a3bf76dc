SELECT id FROM published_events WHERE id = ANY ($1)
