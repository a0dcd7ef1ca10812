"""How far a topic goes: its partitions, what each holds, and where a time is in it, as any consumer can ask."""

# kafka-python ships no types.
# mypy: disable-error-code="no-untyped-call"

from collections.abc import Callable, Iterable

from kafka import KafkaConsumer, TopicPartition

from projector.adapters.kafka.settings import MAKE_TOPICS
from projector.errors import Unavailable, WrongInput
from projector.ports import Offset, Partition, Span


def partitions_of(consumer: KafkaConsumer, topic: str) -> tuple[Partition, ...]:
    found = tuple(sorted(consumer.partitions_for_topic(topic)))
    if not found:
        raise WrongInput(f"there is no topic {topic}; {MAKE_TOPICS}")
    return found


def spans_of(consumer: KafkaConsumer, topic: str, partitions: Iterable[Partition]) -> dict[Partition, Span]:
    """The end is the last stable offset: a read_committed reader cannot get further."""
    wanted = [TopicPartition(topic, partition) for partition in partitions]
    if not wanted:
        return {}
    begins = _complete(wanted, consumer.beginning_offsets, topic)
    ends = _complete(wanted, consumer.end_offsets, topic)
    return {partition.partition: Span(begins[partition], ends[partition]) for partition in wanted}


def offsets_at(
    consumer: KafkaConsumer, topic: str, partitions: Iterable[Partition], ms: int
) -> dict[Partition, Offset]:
    wanted = [TopicPartition(topic, partition) for partition in partitions]
    if not wanted:
        return {}
    found = consumer.offsets_for_times(dict.fromkeys(wanted, max(0, ms)))
    ends = _complete(wanted, consumer.end_offsets, topic)
    return {
        partition.partition: ends[partition] if found.get(partition) is None else found[partition].offset
        for partition in wanted
    }


def _complete(
    wanted: list[TopicPartition], ask: Callable[[list[TopicPartition]], dict[TopicPartition, int]], topic: str
) -> dict[TopicPartition, int]:
    offsets = ask(wanted)
    missing = [partition.partition for partition in wanted if offsets.get(partition) is None]
    if missing:
        raise Unavailable(f"the broker does not say how far partitions {missing} of {topic} go")
    return offsets
