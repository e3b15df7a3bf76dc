INSERT INTO commands (lane, at, id, outcome)
SELECT $1::integer, $2::bigint, given.* FROM unnest($3::bytea[], $4::smallint[]) AS given (id, outcome)
ON CONFLICT DO NOTHING
