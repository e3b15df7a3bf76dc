SELECT value_id, value FROM delivered WHERE value_id = ANY ($1)
