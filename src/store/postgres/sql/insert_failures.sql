-- A failure that is there already stays as it is.
WITH given AS (
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::smallint[], $4::bigint[], $5::text[], $6::text[], $7::text[],
        $8::text[], $9::text[], $10::text[], $11::uuid[], $12::uuid[], $13::bytea[], $14::text[], $15::bigint[],
        $16::bigint[], $17::text[]) WITH ORDINALITY
    AS given (event_id, tenant_id, kind, failed_at, binding, error_code, source_key, external_order_id,
        correlation_id, pointer, group_id, replay_of, raw_sha256, topic, partition, record_offset, detail, place)
), added AS (
    INSERT INTO failures (event_id, tenant_id, kind, failed_at, binding, error_code, source_key, external_order_id,
        correlation_id, pointer, group_id, replay_of, raw_sha256, topic, partition, record_offset, detail)
    SELECT event_id, tenant_id, kind, failed_at, binding, error_code, source_key, external_order_id,
        correlation_id, pointer, group_id, replay_of, raw_sha256, topic, partition, record_offset, detail
    FROM given ORDER BY place
    ON CONFLICT DO NOTHING
    RETURNING tenant_id, replay_of
)
SELECT tenant_id, replay_of FROM added
