-- What was done to a failure is written with the row that says so.
WITH changed AS (
    UPDATE failures SET state = $9 WHERE event_id = $7 AND tenant_id = $8)
INSERT INTO audit (at, operator, action, tenant_id, subject, detail) VALUES ($1, $2, $3, $4, $5, $6)
