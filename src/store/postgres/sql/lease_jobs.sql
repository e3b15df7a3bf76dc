INSERT INTO replay_lease AS held (number, holder, until) VALUES (1, $1, $3)
ON CONFLICT (one) DO UPDATE SET until = excluded.until, holder = excluded.holder,
    number = held.number + (held.holder <> excluded.holder)::integer
WHERE held.holder = excluded.holder OR held.until <= $2
RETURNING number
