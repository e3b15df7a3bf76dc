UPDATE failures SET state = named.state
FROM unnest($1::uuid[], $2::text[], $3::smallint[]) AS named (event_id, tenant_id, state)
WHERE failures.event_id = named.event_id AND failures.tenant_id = named.tenant_id AND failures.state = $4
