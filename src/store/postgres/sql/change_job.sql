UPDATE replay_jobs SET state = $2, pace = coalesce($3, pace), note = coalesce($4, note),
    started_at = coalesce($5, started_at), ended_at = coalesce($6, ended_at)
WHERE id = $1 AND state = ANY ($7)
