INSERT INTO lanes (topic, partition, epoch) VALUES ($1, $2, 1)
ON CONFLICT (topic, partition) DO UPDATE SET epoch = lanes.epoch + 1
RETURNING epoch, decided, batch, checkpoint
