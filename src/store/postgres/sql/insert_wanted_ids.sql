INSERT INTO wanted_ids (lane, seq, place, wanted_id, order_id, platform_id)
SELECT $1::integer, given.*
FROM unnest($2::bigint[], $3::integer[], $4::uuid[], $5::uuid[], $6::bytea[])
    AS given (seq, place, wanted_id, order_id, platform_id)
