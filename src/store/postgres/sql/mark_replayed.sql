-- A statement of its own: one before it may have added the failure itself.
UPDATE failures SET state = $3
WHERE state = $4 AND (event_id, tenant_id) IN (SELECT * FROM unnest($1::uuid[], $2::text[]))
