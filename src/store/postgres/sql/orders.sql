-- One row for each parked update of an order, or a single one. Orders with a canonical have none parked, and cost no
-- look at the parked ones: `OFFSET 0` keeps that condition from becoming a filter behind it.
SELECT orders.id, phase, tenant_id, source_key, external_order_id, changed_at, orders.revision, digest,
    transformation_version, canonical, tombstone_offset, cancelled_at, reason_code, reason, orders.expires_at,
    record_offset, waiting.revision, waiting.expires_at, traceparent, value
FROM orders LEFT JOIN LATERAL (
    SELECT record_offset, revision, expires_at, traceparent, value
    FROM parked_updates WHERE orders.parked > 0 AND order_id = orders.id
    OFFSET 0
) AS waiting ON true
WHERE orders.id = ANY ($1)
