-- The first time an event was published is the one that counts.
INSERT INTO published_events (id, published_at)
SELECT * FROM unnest($1::uuid[], $2::bigint[])
ON CONFLICT (id) DO NOTHING
