DELETE FROM timer_decisions WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM timer_decisions
    WHERE lane = (SELECT lane FROM lanes WHERE topic = $1 AND partition = $2) AND decided < $3
    ORDER BY decided LIMIT $4 FOR UPDATE SKIP LOCKED))
