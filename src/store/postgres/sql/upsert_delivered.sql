INSERT INTO delivered (value_id, value, delivered_at) VALUES ($1, $2, $3)
ON CONFLICT (value_id) DO UPDATE SET value = excluded.value, delivered_at = excluded.delivered_at
