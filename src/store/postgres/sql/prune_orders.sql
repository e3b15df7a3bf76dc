-- What a lane is writing now is left to the next call.
WITH old AS MATERIALIZED (
    SELECT id FROM orders
    WHERE changed_at < $1 AND phase <> 4 AND parked = 0
    ORDER BY changed_at LIMIT $2
    FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM orders USING old WHERE orders.id = old.id RETURNING orders.id
), number AS (
    SELECT count(*) AS gone FROM gone
)
UPDATE pruned SET orders = orders + gone FROM number WHERE gone > 0 RETURNING gone
