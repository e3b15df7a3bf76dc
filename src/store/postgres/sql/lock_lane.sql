-- Until the end of the transaction nobody takes the lane over, nor writes it by the same epoch: a call repeated on a
-- new connection waits for what the lost one may still be doing. (FOR SHARE would let the two deadlock at the update.)
SELECT lane, epoch FROM lanes WHERE topic = $1 AND partition = $2 FOR NO KEY UPDATE
