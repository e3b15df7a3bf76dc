INSERT INTO lanes (topic, partition) SELECT * FROM unnest($1::text[], $2::bigint[])
ON CONFLICT DO NOTHING
