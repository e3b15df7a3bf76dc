SELECT topic, partition, record_offset, released, timer, at, detail
FROM ledger JOIN lanes USING (lane)
WHERE order_id = $1
ORDER BY seq
