"""Polls sources until they have what a test waits for."""

# kafka-python ships no types.
# mypy: disable-error-code="no-untyped-call"

import time
from collections.abc import Callable
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from projector.adapters.kafka import KafkaSource
from projector.ports import Batch
from tests.services.process import wait_for
from tests.services.topics import Topics

DEADLINE_S = 40.0


def poll_until(source: Any, holds: Callable[[Batch], bool]) -> list[Batch]:
    """All batches up to the first that `holds`."""
    batches: list[Batch] = []
    deadline = time.monotonic() + DEADLINE_S
    while not batches or not holds(batches[-1]):
        assert time.monotonic() < deadline, f"not within {DEADLINE_S:g} s; the last: {batches[-1:]}"
        batches.append(source.poll())
    return batches


def assigned(source: KafkaSource) -> Batch:
    """The first batch in which it has partitions."""
    return poll_until(source, lambda batch: bool(batch.assigned))[-1]


def begun(source: KafkaSource) -> Batch:
    """Assigned, and placed at the beginning."""
    batch = assigned(source)
    source.begin_at(dict.fromkeys(batch.assigned, 0))
    return batch


def read_to_end(source: Any) -> list[Batch]:
    """All batches until one is at the end of everything assigned."""
    return poll_until(source, lambda batch: bool(batch.assigned) and batch.at_end == set(batch.assigned))


def values(batches: list[Batch]) -> list[bytes | None]:
    """Of all records, by partition and offset."""
    records = [record for batch in batches for record in batch.records]
    return [record.value for record in sorted(records, key=lambda record: (record.partition, record.offset))]


def places(batches: list[Batch]) -> dict[int, int]:
    """The last `next` of each partition."""
    return {partition: place for batch in batches for partition, place in batch.next.items()}


def published(kafka: Topics, topic: str) -> list[Any]:
    """Every committed record, once no transaction is open in the topic.

    A commit is answered before its marker is in each partition, and until then no reader sees what was committed.
    """
    committed = KafkaConsumer(bootstrap_servers=kafka.bootstrap, isolation_level="read_committed")
    written = KafkaConsumer(bootstrap_servers=kafka.bootstrap, isolation_level="read_uncommitted")
    try:
        places = [TopicPartition(topic, partition) for partition in committed.partitions_for_topic(topic)]

        def is_settled() -> bool:
            return bool(committed.end_offsets(places) == written.end_offsets(places))

        assert wait_for(is_settled, timeout_s=DEADLINE_S), f"a transaction stays open in {topic}"
    finally:
        committed.close()
        written.close()
    return kafka.read(topic)
