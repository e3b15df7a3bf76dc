-- All decisions about one offset go together: the call ends with the offset at which it has reached $4 rows.
DELETE FROM decisions
WHERE lane = (SELECT lane FROM lanes WHERE topic = $1 AND partition = $2)
    AND record_offset < coalesce(
        (SELECT record_offset + 1 FROM decisions
         WHERE lane = (SELECT lane FROM lanes WHERE topic = $1 AND partition = $2) AND record_offset < $3
         ORDER BY record_offset OFFSET $4::bigint - 1 LIMIT 1),
        $3)
