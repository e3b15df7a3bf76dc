INSERT INTO links (changed_at, link_id, tenant_id, source_key, external_order_id, country_code)
SELECT $1::bigint, given.*
FROM unnest($2::uuid[], $3::bytea[], $4::bytea[], $5::bytea[], $6::bytea[])
    AS given (link_id, tenant_id, source_key, external_order_id, country_code)
ON CONFLICT (link_id) DO UPDATE SET
    changed_at = excluded.changed_at, tenant_id = excluded.tenant_id, source_key = excluded.source_key,
    external_order_id = excluded.external_order_id, country_code = excluded.country_code
