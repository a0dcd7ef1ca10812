"""The input topic as it was at a moment, as a `Source`: for replays, checks and explanations.

Law: reads every partition to the end that it had at the start, commits nothing and joins no group.
"""

# kafka-python ships no types.
# mypy: disable-error-code="no-untyped-call"

from collections.abc import Iterable, Mapping
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from projector.adapters.kafka.extent import offsets_at, partitions_of, spans_of
from projector.adapters.kafka.reading import ends_of
from projector.adapters.kafka.settings import KafkaSettings, consumer_options
from projector.adapters.kafka.source import POLL_MS
from projector.adapters.kafka.trouble import asking, made, reading
from projector.ports import Batch, Committed, Offset, Partition, Span


class TopicReader:
    """Begins at the beginning, or at the first record of `since` (ms); `begin_at` may place it elsewhere."""

    def __init__(self, settings: KafkaSettings, *, since: int | None = None, records_max: int | None = None) -> None:
        """`records_max`: how many records a poll may bring."""
        self.topic = settings.input_topic
        self._where = settings.bootstrap_servers
        at_once = {} if records_max is None else {"max_poll_records": records_max}
        self._consumer = made(KafkaConsumer, consumer_options(settings) | at_once, f"read {self.topic}", self._where)
        ends_of(self._consumer, self.topic)  # For its fast way of reading; the ends are those of the start.
        try:
            self._place(since)
        except BaseException:
            self._consumer.close()
            raise

    def poll(self) -> Batch:
        """What `POLL_MS` bring; without waiting where everything has been read."""
        at_end = self._at_end()
        polled: Mapping[TopicPartition, list[Any]] = {}
        before = dict(self._next)
        if len(at_end) < len(self._ends):
            with reading(self.topic):
                polled = self._consumer.poll(timeout_ms=POLL_MS)
                for partition in self._next:
                    place = self._consumer.position(TopicPartition(self.topic, partition), timeout_ms=0)
                    self._next[partition] = min(place, max(before[partition], self._ends[partition]))
            at_end = self._at_end()
            self._consumer.pause(*(TopicPartition(self.topic, partition) for partition in at_end))
        return Batch(
            records=[record for part in polled.values() for record in self._before_end(part)],
            next={partition: place for partition, place in self._next.items() if place != before[partition]},
            at_end=at_end,
            assigned=tuple(self._ends),
            generation=1,
        )

    def progress(self) -> tuple[int, int]:
        """Records read, and how many there are."""
        read = sum(self._next[one] - self._begins[one] for one in self._ends)
        return read, sum(self._ends[one] - self._begins[one] for one in self._ends)

    def partitions(self) -> tuple[Partition, ...]:
        return tuple(self._ends)

    def committed(self, partitions: Iterable[Partition]) -> dict[Partition, Committed]:  # noqa: ARG002
        """None: without a group nothing is committed."""
        return {}

    def spans(self, partitions: Iterable[Partition]) -> dict[Partition, Span]:
        """As they were at the start."""
        return {partition: Span(self._begins[partition], self._ends[partition]) for partition in partitions}

    def offsets_at(self, partitions: Iterable[Partition], ms: int) -> dict[Partition, Offset]:
        with asking(f"look for a time in {self.topic}", self._where):
            found = offsets_at(self._consumer, self.topic, partitions, ms)
        return {partition: min(offset, self._ends[partition]) for partition, offset in found.items()}

    def begin_at(self, positions: Mapping[Partition, Offset]) -> None:
        for partition, offset in positions.items():
            place = TopicPartition(self.topic, partition)
            self._consumer.seek(place, offset)
            self._next[partition] = offset
            self._consumer.resume(place)

    def close(self) -> None:
        self._consumer.close()

    def _place(self, since: int | None) -> None:
        with asking(f"ask how far {self.topic} goes", self._where):
            partitions = partitions_of(self._consumer, self.topic)
            self._consumer.assign([TopicPartition(self.topic, partition) for partition in partitions])
            spans = spans_of(self._consumer, self.topic, partitions)
        self._begins = {partition: span.begin for partition, span in spans.items()}
        self._ends = {partition: span.end for partition, span in spans.items()}
        self._next: dict[Partition, Offset] = {}
        self.begin_at(self._begins if since is None else self.offsets_at(partitions, since))

    def _at_end(self) -> frozenset[Partition]:
        return frozenset(partition for partition, end in self._ends.items() if self._next[partition] >= end)

    def _before_end(self, records: list[Any]) -> list[Any]:
        end = self._ends[records[0].partition]
        return records if records[-1].offset < end else [record for record in records if record.offset < end]
