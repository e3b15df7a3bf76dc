SELECT seq, hop FROM ends
WHERE lane = (SELECT lane FROM lanes WHERE topic = $1 AND partition = $2) AND seq = ANY ($3)
