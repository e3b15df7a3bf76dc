SELECT batch, seq, effects
FROM released_records
WHERE lane = (SELECT lane FROM lanes WHERE topic = $1 AND partition = $2) AND batch > $3
ORDER BY batch, seq
