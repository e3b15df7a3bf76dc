INSERT INTO orders (id, lane, phase, parked, changed_at, tenant_id, source_key, external_order_id, revision, digest,
    transformation_version, canonical, tombstone_offset, cancelled_at, expires_at, reason_code, reason)
SELECT id, $1::integer, phase, parked, changed_at, tenant_id, source_key, external_order_id, revision, digest,
    transformation_version, canonical, tombstone_offset, cancelled_at, expires_at, reason_code, reason
FROM unnest($2::uuid[], $3::smallint[], $4::integer[], $5::bigint[], $6::bytea[], $7::bytea[], $8::bytea[],
    $9::bigint[], $10::bytea[], $11::bytea[], $12::bytea[], $13::bigint[], $14::bigint[], $15::bigint[], $16::bytea[],
    $17::bytea[])
    AS given (id, phase, parked, changed_at, tenant_id, source_key, external_order_id, revision, digest,
    transformation_version, canonical, tombstone_offset, cancelled_at, expires_at, reason_code, reason)
ON CONFLICT (id) DO UPDATE SET
    lane = excluded.lane, phase = excluded.phase, parked = excluded.parked, changed_at = excluded.changed_at,
    tenant_id = excluded.tenant_id, source_key = excluded.source_key,
    external_order_id = excluded.external_order_id, revision = excluded.revision, digest = excluded.digest,
    transformation_version = excluded.transformation_version, canonical = excluded.canonical,
    tombstone_offset = excluded.tombstone_offset, cancelled_at = excluded.cancelled_at,
    expires_at = excluded.expires_at, reason_code = excluded.reason_code, reason = excluded.reason
