DELETE FROM replay_jobs WHERE created_at < $1 AND state <> 1
    AND NOT EXISTS (SELECT 1 FROM replay_items WHERE job = replay_jobs.number)
