UPDATE lanes SET batch = $2, decided = greatest(decided, $3), confirmed_batch = $4, checkpoint = $5 WHERE lane = $1
