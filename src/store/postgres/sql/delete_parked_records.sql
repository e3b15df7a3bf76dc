DELETE FROM parked_records WHERE lane = $1 AND seq = ANY ($2)
