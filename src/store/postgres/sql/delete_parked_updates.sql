-- Of the orders $1, those that are not among ($2, $3).
DELETE FROM parked_updates
WHERE order_id = ANY ($1)
    AND (order_id, record_offset) NOT IN (SELECT * FROM unnest($2::uuid[], $3::bigint[]))
