DELETE FROM replay_items WHERE (job, number) IN (
    SELECT i.job, i.number FROM replay_jobs AS j JOIN replay_items AS i ON i.job = j.number
    WHERE j.created_at < $1 AND j.state <> 1 LIMIT $2)
