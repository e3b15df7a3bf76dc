SELECT record_offset, released, outcome, decided_at, effects
FROM decisions
WHERE lane = (SELECT lane FROM lanes WHERE topic = $1 AND partition = $2) AND record_offset >= $3 AND record_offset < $4
ORDER BY record_offset, released <> -1, seq
