"""Inside kafka-python's consumer, for its tested versions only: leaner records, large reads, and where the log ends.

Law: with another version of the client nothing here is applied, and the stock way gives the same records and ends.
Worth it for speed (2 cores, CPython 3.11: 5 µs a record become 1.5; each socket read of 4 KiB gives up the
interpreter's lock, which a busy main thread then keeps for its whole switch interval) and because the stock reader
never gets past a record with a header key that is not UTF-8.
"""

# kafka-python ships no types.
# mypy: disable-error-code="no-untyped-call"

import time
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import Fetcher
from kafka.errors import CorruptRecordError, KafkaConnectionError
from kafka.net.transport import KafkaTCPTransport
from kafka.protocol.consumer import IsolationLevel
from kafka.protocol.frame import KafkaBytes
from kafka.version import __version__
from msgspec import Struct

TESTED = ("3.0.12",)

FRESH_S = 0.5
"""How old the news may be that nothing lies behind a position; an idle fetch is answered ten times in that."""


class Taken(Struct, gc=False):
    """A record as it was read; its headers are parsed when somebody asks for them."""

    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    raw_headers: bytes = b"\0"

    @property
    def headers(self) -> list[tuple[str, bytes]]:
        """A key that is not UTF-8 has replacement characters, a null value is empty: the producer takes no others."""
        data, headers = self.raw_headers, []
        count, pos = _varint(data, 0)
        for _ in range(count):
            size, pos = _varint(data, pos)
            name, pos = data[pos : pos + size], pos + size
            size, pos = _varint(data, pos)
            value = data[pos : pos + size] if size > 0 else b""
            pos += max(size, 0)
            headers.append((name.decode("utf-8", "replace"), value))
        return headers


class Ends(Protocol):
    """Knows up to where a partition can be read."""

    def begin(self, partitions: Iterable[int]) -> None:
        """Forget what was known of these: they are read from somewhere else now."""

    def reached(self, positions: Mapping[int, int]) -> frozenset[int]:
        """Those of the partitions whose position is the end of what a read_committed reader can have."""

    def answered_since(self, moment: float) -> bool:
        """Whether the broker has answered a fetch since (monotonic, s); false where that is not known."""


def ends_of(consumer: KafkaConsumer, topic: str) -> Ends:
    """Makes the consumer read the fast way, where its version is a tested one."""
    if __version__ not in TESTED:
        return AskedEnds(consumer, topic)
    consumer._fetcher.PartitionRecords = LeanRecords  # type: ignore[assignment]  # noqa: SLF001
    KafkaTCPTransport._sock_recv = _receive  # type: ignore[method-assign]  # noqa: SLF001
    KafkaBytes.read = read_of  # type: ignore[method-assign]
    return FetchedEnds(consumer, topic)


class AskedEnds:
    """The stock way: asks the broker, once for each call."""

    def __init__(self, consumer: KafkaConsumer, topic: str) -> None:
        self._consumer, self._topic = consumer, topic

    def begin(self, partitions: Iterable[int]) -> None:
        """Nothing is remembered."""

    def reached(self, positions: Mapping[int, int]) -> frozenset[int]:
        wanted = [TopicPartition(self._topic, partition) for partition in positions]
        ends = self._consumer.end_offsets(wanted) if wanted else {}
        return frozenset(partition for (_, partition), end in ends.items() if positions[partition] >= end)

    def answered_since(self, moment: float) -> bool:  # noqa: ARG002
        return False


class FetchedEnds:
    """Remembers the last stable offset that came with each fetch.

    An answer names only partitions about which there is news (KIP-227); of the others it says that nothing has changed.
    """

    def __init__(self, consumer: KafkaConsumer, topic: str) -> None:
        self._topic = topic
        self._ends: dict[int, int] = {}
        self._heard_at: dict[int, float] = {}
        """When the fetch of the partition that was answered last had been sent (monotonic, s)."""
        self._begun_at: dict[int, float] = {}
        self._answered_at = 0.0
        """When the last answer came (monotonic, s)."""
        self._answered = consumer._fetcher._handle_fetch_response  # noqa: SLF001
        consumer._fetcher._handle_fetch_response = self._on_answer  # type: ignore[method-assign]  # noqa: SLF001

    def begin(self, partitions: Iterable[int]) -> None:
        self._begun_at |= dict.fromkeys(partitions, time.monotonic())

    def reached(self, positions: Mapping[int, int]) -> frozenset[int]:
        fresh = time.monotonic() - FRESH_S
        return frozenset(
            partition
            for partition, position in positions.items()
            if position >= self._ends.get(partition, position + 1)
            and self._heard_at.get(partition, 0.0) >= max(fresh, self._begun_at.get(partition, 0.0))
        )

    def answered_since(self, moment: float) -> bool:
        return self._answered_at >= moment

    def _on_answer(self, node: int, offsets: Mapping[TopicPartition, int], sent_at: float, answer: Any) -> None:
        """Runs on the client's thread, before the records of this answer can be taken."""
        self._answered_at = time.monotonic()
        if answer.error_code == 0 and answer.session_id >= 0:  # -1: held back by a quota, says nothing.
            troubled = {
                TopicPartition(topic.topic, part.partition_index)
                for topic in answer.responses
                for part in topic.partitions
                if not self._note(topic.topic, part)
            }
            for asked in offsets.keys() - troubled:
                self._heard_at[asked.partition] = sent_at
        self._answered(node, offsets, sent_at, answer)

    def _note(self, topic: str, part: Any) -> bool:
        if part.error_code != 0 or topic != self._topic:
            return False
        if part.diverging_epoch is not None and part.diverging_epoch.end_offset >= 0:
            return False  # The log was cut off below our position.
        stable = part.last_stable_offset
        self._ends[part.partition_index] = part.high_watermark if stable is None or stable < 0 else stable
        return True


class LeanRecords(Fetcher.PartitionRecords):
    """The records of one partition's fetch; skips aborted and control batches as the stock class does.

    An error is raised once and ends this fetch, where the stock class would make `poll` spin.
    """

    def __init__(self, fetch_offset: int, tp: TopicPartition, records: Any, **options: Any) -> None:
        super().__init__(fetch_offset, tp, records, **options)
        self._batches = records
        self._read: list[Taken] = []
        """Of the batch that was read last, what has not been taken."""
        self._after = fetch_offset
        """The offset after the batch that was read last."""

    def take(self, n: int | None = None) -> list[Taken]:
        try:
            return self._take(n if n is not None else 1 << 62)
        except Exception:
            self.drain()
            raise

    def _take(self, n: int) -> list[Taken]:
        """Up to n records, and at least one unless none is left; never past the end of a batch that holds records."""
        while not self._read:
            if not self._read_batch():
                self.drain()
                return []
        records, self._read = self._read[:n], self._read[n:]
        self.next_fetch_offset = records[-1].offset + 1 if self._read else self._after
        return records

    def _read_batch(self) -> bool:
        """Reads the next batch; false where there is none."""
        batch = self._batches.next_batch()
        if batch is None:
            return False
        if self.check_crcs and not batch.validate_crc():
            raise CorruptRecordError(f"{self.topic_partition}: the batch at {batch.base_offset} fails its checksum")
        if batch.magic < 2:
            records = self._old_records(batch)
            self._after = records[-1].offset + 1 if records else self._after
        else:
            self.leader_epoch = batch.leader_epoch
            self._after = batch.next_offset
            records = [] if self._is_hidden(batch) else records_of(batch, self.topic_partition.partition)
            self.bytes_read += batch.size_in_bytes
        if records and records[0].offset < self.fetch_offset:  # A fetch begins in the middle of a batch.
            records = [record for record in records if record.offset >= self.fetch_offset]
        self.records_read += len(records)
        self._read = records
        if not records:
            self.next_fetch_offset = self._after
        return True

    def _is_hidden(self, batch: Any) -> bool:
        """Whether it is a control batch, or one of an aborted transaction (KIP-98); as in the stock class."""
        if self.isolation_level == IsolationLevel.READ_COMMITTED and batch.has_producer_id():
            self._consume_aborted_transactions_up_to(batch.last_offset)
            if self._contains_abort_marker(batch):
                self.aborted_producer_ids.discard(batch.producer_id)
            elif self._is_batch_aborted(batch):
                return True
        return bool(batch.is_control_batch)

    def _old_records(self, batch: Iterable[Any]) -> list[Taken]:
        """Of the formats before Kafka 0.11, which have no headers."""
        partition, records = self.topic_partition.partition, []
        for record in batch:
            if self.check_crcs and not record.validate_crc():
                raise CorruptRecordError(f"{self.topic_partition}: the record at {record.offset} fails its checksum")
            records.append(Taken(partition, record.offset, record.timestamp, record.key, record.value))
        return records


def records_of(batch: Any, partition: int) -> list[Taken]:
    """All records of a batch of format v2; raises CorruptRecordError where they are not as long as they say."""
    iter(batch)  # Uncompresses it.
    data, pos = bytes(batch._buffer), batch._pos  # noqa: SLF001
    if batch.timestamp_type == batch.LOG_APPEND_TIME:
        return _parse(data, pos, batch.records_count, partition, batch.base_offset, 0, batch.max_timestamp)
    return _parse(data, pos, batch.records_count, partition, batch.base_offset, 1, batch.first_timestamp)


def _parse(data: bytes, pos: int, count: int, partition: int, base: int, scale: int, time_ms: int) -> list[Taken]:
    """`scale` is 0 where the broker gave one time to the whole batch. One-byte numbers are read in place."""
    records = []
    try:
        for _ in range(count):
            size, pos = _varint(data, pos)
            end = pos + size
            elapsed, pos = _varint(data, pos + 1)
            byte = data[pos]
            if byte < 0x80:
                delta, pos = byte >> 1, pos + 1
            else:
                delta, pos = _varint(data, pos)
            byte = data[pos]
            if byte < 0x80:
                size, pos = (byte >> 1) ^ -(byte & 1), pos + 1
            else:
                size, pos = _varint(data, pos)
            key, pos = (data[pos : pos + size], pos + size) if size >= 0 else (None, pos)
            size, pos = _varint(data, pos)
            value, pos = (data[pos : pos + size], pos + size) if size >= 0 else (None, pos)
            if pos >= end:
                raise CorruptRecordError(f"the record at {base + delta} does not end where it says")
            records.append(Taken(partition, base + delta, time_ms + scale * elapsed, key, value, data[pos:end]))
            pos = end
    except IndexError:
        raise CorruptRecordError(f"the batch at {base} ends within a record") from None
    if pos != len(data):
        raise CorruptRecordError(f"the batch at {base} does not end with its last record")
    return records


def _varint(data: bytes, pos: int) -> tuple[int, int]:
    """A zigzag number of Kafka's record format, and the position behind it."""
    byte = data[pos]
    raw, shift = byte & 0x7F, 7
    while byte >= 0x80:
        pos += 1
        byte = data[pos]
        raw |= (byte & 0x7F) << shift
        shift += 7
    return (raw >> 1) ^ -(raw & 1), pos + 1


def _receive(transport: Any) -> tuple[bytes, Exception | None]:
    """All that the socket has, as the stock method gives it, by large reads."""
    received = []
    error: Exception | None = None
    try:
        while True:
            data = transport._sock.recv(RECEIVE_BYTES)  # noqa: SLF001
            if not data:
                error = KafkaConnectionError("socket disconnected")
                break
            received.append(data)
            if len(data) < RECEIVE_BYTES:
                break
    except (BlockingIOError, InterruptedError):
        pass
    except Exception as failure:  # noqa: BLE001 As in the stock method: the connection is over, whatever it was.
        error = KafkaConnectionError(failure)
    return b"".join(received), error


RECEIVE_BYTES = 512 * 1024


_LARGE = 4096


def read_of(frame: Any, size: int | None = None) -> bytes:
    """The next bytes of an answer, as the stock method gives them: copied once, not twice, under the lock of all."""
    begin = frame._idx  # noqa: SLF001
    end = len(frame) if size is None else min(begin + size, len(frame))
    frame._idx = end  # noqa: SLF001
    if end - begin < _LARGE:
        return bytes(frame[begin:end])
    with memoryview(frame) as view:
        return bytes(view[begin:end])
