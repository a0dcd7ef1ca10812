"""A topic that was made anew, as the source and the way out of a later generation.

Law: what the projector works with are offsets of the generation, which follow those of the topics before; what Kafka
is told, and what rejects say, are the topic's own. Positions and revisions so never go back (design §2).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from projector.life import GENERATION_OFFSETS
from projector.ports import Batch, Change, Committed, Log, Offset, Partition, Publisher, Refused, Source, Span


class LaterRecord(Struct, frozen=True):
    """A record at its offset of the generation."""

    partition: Partition
    offset: Offset
    timestamp: int | None
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]
    own: Any
    """The record as the topic has it."""


class LaterLog:
    """A `Log` that is of this generation."""

    def __init__(self, log: Log, generation: int) -> None:
        self._log, self._first = log, generation * GENERATION_OFFSETS

    def partitions(self) -> tuple[Partition, ...]:
        return self._log.partitions()

    def committed(self, partitions: Iterable[Partition]) -> dict[Partition, Committed]:
        return _moved(self._log.committed(partitions), self._first)

    def spans(self, partitions: Iterable[Partition]) -> dict[Partition, Span]:
        spans = self._log.spans(partitions)
        return {one: Span(span.begin + self._first, span.end + self._first) for one, span in spans.items()}

    def offsets_at(self, partitions: Iterable[Partition], ms: int) -> dict[Partition, Offset]:
        found = self._log.offsets_at(partitions, ms)
        return {partition: offset + self._first for partition, offset in found.items()}


class LaterSource(LaterLog):
    """A `Source` that is."""

    def __init__(self, source: Source, generation: int) -> None:
        super().__init__(source, generation)
        self.topic, self._source = source.topic, source

    def poll(self) -> Batch:
        batch = self._source.poll()
        return replace(
            batch,
            records=[self._later(record) for record in batch.records],
            next={partition: offset + self._first for partition, offset in batch.next.items()},
        )

    def begin_at(self, positions: Mapping[Partition, Offset]) -> None:
        self._source.begin_at({partition: offset - self._first for partition, offset in positions.items()})

    def close(self) -> None:
        self._source.close()

    def _later(self, record: Any) -> LaterRecord:
        return LaterRecord(
            record.partition,
            record.offset + self._first,
            record.timestamp,
            record.key,
            record.value,
            record.headers,
            record,
        )


class LaterPublisher:
    """The `Publisher` beside it."""

    def __init__(self, publisher: Publisher, generation: int) -> None:
        self._publisher, self._first = publisher, generation * GENERATION_OFFSETS

    def publish(
        self,
        changes: Sequence[Change],
        rejects: Sequence[Refused],
        positions: Mapping[Partition, Committed],
        group: Any,
    ) -> None:
        own = [replace(refused, record=refused.record.own) for refused in rejects]
        self._publisher.publish(changes, own, _moved(positions, -self._first), group)

    def renew(self) -> None:
        self._publisher.renew()

    def close(self) -> None:
        self._publisher.close()


def _moved(positions: Mapping[Partition, Committed], by: int) -> dict[Partition, Committed]:
    return {partition: Committed(at.offset + by, at.metadata) for partition, at in positions.items()}


def of_generation(source: Source, publisher: Publisher, generation: int) -> tuple[Source, Publisher]:
    """Both as a worker works with them; of the first topic they are what they are."""
    if not generation:
        return source, publisher
    return LaterSource(source, generation), LaterPublisher(publisher, generation)
