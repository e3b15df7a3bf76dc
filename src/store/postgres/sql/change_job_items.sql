UPDATE replay_items SET state = changed.state, command_id = coalesce(changed.command_id, replay_items.command_id),
    outcome = changed.outcome, changed_at = changed.at
FROM replay_jobs,
    unnest($2::bigint[], $3::smallint[], $4::uuid[], $5::text[], $6::bigint[])
        AS changed (number, state, command_id, outcome, at)
WHERE replay_jobs.id = $1 AND replay_items.job = replay_jobs.number AND replay_items.number = changed.number
