INSERT INTO ledger (order_id, at, lane, record_offset, released, timer, detail)
SELECT order_id, at, lane, record_offset, released, timer, detail
FROM unnest($1::uuid[], $2::bigint[], $3::integer[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bytea[])
    WITH ORDINALITY AS given (order_id, at, lane, record_offset, released, timer, detail, place)
ORDER BY place
