-- One command goes to one lane; were it in several, the last to execute it counts.
SELECT DISTINCT ON (id) id, outcome, at FROM commands WHERE id = ANY ($1) ORDER BY id, at DESC, lane
