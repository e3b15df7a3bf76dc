-- Answers of one lane are written side by side; whoever takes the lane over waits for them.
SELECT lane, epoch FROM lanes WHERE topic = $1 AND partition = $2 FOR SHARE
