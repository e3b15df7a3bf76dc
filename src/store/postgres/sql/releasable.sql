-- `OFFSET 0` makes each wanted id a look at an index: else all links may be read to hash them.
WITH own AS MATERIALIZED (
    SELECT lane FROM lanes WHERE topic = $1 AND partition = $2
), found AS MATERIALIZED (
    SELECT seq FROM parked_records WHERE lane = (SELECT lane FROM own) AND expires_at <= $3
    UNION
    SELECT seq FROM wanted_ids
    WHERE lane = (SELECT lane FROM own) AND (
        EXISTS (SELECT FROM links WHERE link_id = wanted_id OFFSET 0)
        OR EXISTS (SELECT FROM orders WHERE orders.id = order_id AND phase IN (2, 3) OFFSET 0))
    ORDER BY seq LIMIT $4
)
SELECT seq, expires_at, key, headers, value,
    ARRAY(SELECT platform_id FROM wanted_ids
          WHERE wanted_ids.lane = parked_records.lane AND wanted_ids.seq = parked_records.seq ORDER BY place)
FROM parked_records JOIN found USING (seq)
WHERE lane = (SELECT lane FROM own)
ORDER BY seq
