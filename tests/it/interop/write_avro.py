"""Registers a schema as a version of the topic's subject and produces records with Confluent's Avro serializer.

    write_avro.py BOOTSTRAP REGISTRY TOPIC SCHEMA_FILE     standard input: {"key": ..., "value": ...} a line

With no lines it only registers. Prints the partition and offset of each record.
"""

import json
import sys

from confluent_kafka import Producer
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

bootstrap, registry, topic, schema_file = sys.argv[1:]
with open(schema_file, encoding="utf-8") as file:
    schema = file.read()
client = SchemaRegistryClient({"url": registry})
client.register_schema(f"{topic}-value", Schema(schema, "AVRO"))
encode = AvroSerializer(client, schema, conf={"auto.register.schemas": False})
producer = Producer({"bootstrap.servers": bootstrap, "partitioner": "murmur2_random"})
failures = []


def delivered(error, message):
    if error:
        failures.append(str(error))
    else:
        print(message.partition(), message.offset())


for line in sys.stdin:
    record = json.loads(line)
    value = encode(record["value"], SerializationContext(topic, MessageField.VALUE))
    producer.produce(topic, key=record["key"], value=value, on_delivery=delivered)
if producer.flush(30) or failures:
    sys.exit(f"not delivered: {failures}")
