DELETE FROM outstanding WHERE lane = $1 AND seq = ANY ($2)
