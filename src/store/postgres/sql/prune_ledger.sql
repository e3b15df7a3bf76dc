-- Found by where they lie, for which rows that are never changed are safe: joined by key, the planner reads them all.
DELETE FROM ledger WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM ledger WHERE at < $1 ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED))
