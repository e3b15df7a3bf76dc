WITH selected AS MATERIALIZED (
    SELECT f.tenant_id, f.binding, f.source_key, f.external_order_id, f.failed_at, f.number
    FROM replay_items AS i JOIN failures AS f ON f.event_id = i.event_id AND f.tenant_id = i.tenant_id
    WHERE i.job = $1),
-- Of each order the failure of the job that is the last: what is before it and not of the job is left behind.
last AS MATERIALIZED (
    SELECT DISTINCT ON (tenant_id, binding, source_key, external_order_id) *
    FROM selected
    ORDER BY tenant_id, binding, source_key, external_order_id, failed_at DESC, number DESC),
behind AS (
    SELECT DISTINCT l.tenant_id, l.binding, l.source_key, l.external_order_id
    FROM last AS l JOIN failures AS e ON e.external_order_id = l.external_order_id
        AND e.tenant_id = l.tenant_id AND e.source_key = l.source_key AND e.binding = l.binding
    WHERE e.state = 0 AND (e.failed_at, e.number) < (l.failed_at, l.number) AND NOT EXISTS (
        SELECT 1 FROM replay_items AS x
        WHERE x.job = $1 AND x.event_id = e.event_id AND x.tenant_id = e.tenant_id))
UPDATE replay_jobs SET
    keys = (SELECT count(*) FROM last),
    keys_left_behind = (SELECT count(*) FROM behind)
WHERE number = $1
