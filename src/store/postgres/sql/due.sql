(
    SELECT order_id, false AS tombstone, record_offset, expires_at
    FROM parked_updates
    WHERE lane = (SELECT lane FROM lanes WHERE topic = $1 AND partition = $2) AND expires_at <= $3
    ORDER BY expires_at, record_offset LIMIT $4
)
UNION ALL
(
    SELECT id, true, tombstone_offset, expires_at
    FROM orders
    WHERE lane = (SELECT lane FROM lanes WHERE topic = $1 AND partition = $2) AND expires_at <= $3
    ORDER BY expires_at, tombstone_offset LIMIT $4
)
ORDER BY expires_at, record_offset LIMIT $4
