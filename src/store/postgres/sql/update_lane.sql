UPDATE lanes SET decided = $2, confirmed = $3, timers = $4, taken = $5, applied = $6, parked = $7,
    orders = orders + $8, parked_updates = parked_updates + $9, tombstones = tombstones + $10
WHERE lane = $1
