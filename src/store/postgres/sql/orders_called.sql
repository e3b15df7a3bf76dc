SELECT id, tenant_id, source_key, external_order_id, canonical FROM orders
WHERE external_order_id = $2 AND source_key = $1 AND phase IN (2, 3)
ORDER BY tenant_id LIMIT $3
