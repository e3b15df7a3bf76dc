SELECT id FROM commands
WHERE lane = (SELECT lane FROM lanes WHERE topic = $1 AND partition = $2) AND id = ANY ($3)
