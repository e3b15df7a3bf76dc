-- Locked in one order by everybody, so that two writers cannot wait for each other.
SELECT id, phase, parked FROM orders WHERE id = ANY ($1) ORDER BY id FOR NO KEY UPDATE
