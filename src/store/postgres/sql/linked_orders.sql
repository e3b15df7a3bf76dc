SELECT id, tenant_id, source_key, external_order_id, canonical FROM orders WHERE id = ANY ($1) AND phase IN (2, 3)
