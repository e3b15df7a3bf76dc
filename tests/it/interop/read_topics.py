"""Prints every committed record of the topics as a line of JSON, decoded by Confluent's Avro deserializer.

    read_topics.py BOOTSTRAP REGISTRY TOPIC...
"""

import json
import sys

from confluent_kafka import Consumer, KafkaError, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

bootstrap, registry, *topics = sys.argv[1:]
client = SchemaRegistryClient({"url": registry})
decode = AvroDeserializer(client)
consumer = Consumer({
    "bootstrap.servers": bootstrap,
    "group.id": "interop-reader",
    "isolation.level": "read_committed",
    "enable.auto.commit": False,
    "enable.partition.eof": True,
})
known = consumer.list_topics(timeout=30).topics
open_partitions = {(topic, partition) for topic in topics for partition in known[topic].partitions}
consumer.assign([TopicPartition(topic, partition, 0) for topic, partition in open_partitions])
while open_partitions:
    message = consumer.poll(30)
    if message is None:
        sys.exit(f"nothing came for 30 s; still open: {sorted(open_partitions)}")
    if message.error():
        if message.error().code() != KafkaError._PARTITION_EOF:
            sys.exit(str(message.error()))
        open_partitions.discard((message.topic(), message.partition()))
        continue
    value = decode(message.value(), SerializationContext(message.topic(), MessageField.VALUE))
    writer = json.loads(client.get_schema(int.from_bytes(message.value()[1:5], "big")).schema_str)
    print(json.dumps({
        "topic": message.topic(),
        "partition": message.partition(),
        "offset": message.offset(),
        "key": message.key().decode(),
        "schema": writer["name"],
        "value": value,
    }))
consumer.close()
