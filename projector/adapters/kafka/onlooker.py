"""What the members of the group will find when they begin, seen from outside.

Law: joins no group, commits nothing, and waits for nobody's transaction.
"""

# kafka-python ships no types.
# mypy: disable-error-code="no-untyped-call"

from collections.abc import Iterable
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from projector.adapters.kafka.extent import offsets_at, partitions_of, spans_of
from projector.adapters.kafka.settings import KafkaSettings, consumer_options
from projector.adapters.kafka.trouble import asking, made
from projector.ports import Committed, Offset, Partition, Span


class Onlooker:
    """The input topic and the group's positions, as a `Log`."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._topic, self._where = settings.input_topic, settings.bootstrap_servers
        options = consumer_options(settings) | {
            "group_id": settings.group_id,
            # With `read_committed` positions of a pending transaction would be waited for.
            "isolation_level": "read_uncommitted",
        }
        self._consumer = made(KafkaConsumer, options, "look at the group", self._where)

    def partitions(self) -> tuple[Partition, ...]:
        with asking(f"look up the partitions of {self._topic}", self._where):
            return partitions_of(self._consumer, self._topic)

    def committed(self, partitions: Iterable[Partition]) -> dict[Partition, Committed]:
        with asking(f"read the committed positions of {self._topic}", self._where):
            found = {one: self._committed(one) for one in partitions}
        return {one: Committed(at.offset, at.metadata or "") for one, at in found.items() if at is not None}

    def spans(self, partitions: Iterable[Partition]) -> dict[Partition, Span]:
        with asking(f"ask how far {self._topic} goes", self._where):
            return spans_of(self._consumer, self._topic, partitions)

    def offsets_at(self, partitions: Iterable[Partition], ms: int) -> dict[Partition, Offset]:
        with asking(f"look for a time in {self._topic}", self._where):
            return offsets_at(self._consumer, self._topic, partitions, ms)

    def close(self) -> None:
        self._consumer.close(autocommit=False)

    def _committed(self, partition: Partition) -> Any:
        return self._consumer.committed(TopicPartition(self._topic, partition), metadata=True)
