SELECT coalesce(sum(orders) - (SELECT orders FROM pruned), 0)::bigint, coalesce(sum(parked_updates), 0)::bigint,
    coalesce(sum(tombstones), 0)::bigint
FROM lanes
