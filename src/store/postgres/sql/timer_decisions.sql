SELECT number, record_offset, outcome, decided_at, effects
FROM timer_decisions
WHERE lane = (SELECT lane FROM lanes WHERE topic = $1 AND partition = $2) AND number > $3
ORDER BY number
