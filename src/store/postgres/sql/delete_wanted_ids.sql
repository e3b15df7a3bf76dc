DELETE FROM wanted_ids WHERE lane = $1 AND seq = ANY ($2)
