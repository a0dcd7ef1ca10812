"""Inside kafka-python's producer, for its tested versions only: changes as whole batches that we pack ourselves.

Law: with another version of the client nothing private is used, and the stock way publishes the same records. The
client still does all that a batch goes through: partitions of the transaction, sequence numbers, one batch in flight
a partition, retries, expiry, aborts; a batch is to it like one that `send` has filled.
Worth it for speed (2 cores, CPython 3.11: a `send` takes 15-25 µs, a packed record 2, and a batch has one future).
"""

# kafka-python ships no types.
# mypy: disable-error-code="no-untyped-call"

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from kafka import KafkaProducer, TopicPartition, codec
from kafka.errors import IllegalStateError
from kafka.producer.future import FutureProduceResult, FutureRecordMetadata
from kafka.producer.producer_batch import ProducerBatch
from kafka.version import __version__

from projector.adapters.kafka.fitting import Limits
from projector.adapters.kafka.outgoing import snapshot_record
from projector.adapters.kafka.packing import Codec, Payload, Producer, packed, packed_record, payloads, sealed
from projector.ports import Change, Partition

TESTED = ("3.0.12",)

FITTED_BYTES = 1024
"""A record that is smaller than its topic's limit by so much fits, whatever is added to it."""

PartitionOf = Callable[[str], Partition]


class Writer(Protocol):
    """Hands changes to the producer; they are sent at the next flush at the latest."""

    def write(self, changes: Sequence[Change]) -> list[Any]:
        """Futures of the client, for one or for many records each: when all have succeeded, all is acknowledged.

        The order of changes to one session is kept.
        """


def writer_of(producer: KafkaProducer, topic: str, partition_of: PartitionOf, limits: Limits) -> Writer:
    """The fast way where the client's version is a tested one and the broker takes the format."""
    if __version__ not in TESTED or producer._accumulator.config["message_version"] != 2:  # noqa: SLF001
        return RecordWriter(producer, topic, partition_of, limits)
    return BatchWriter(producer, topic, partition_of, limits)


class RecordWriter:
    """The stock way: one `send` a change."""

    def __init__(self, producer: KafkaProducer, topic: str, partition_of: PartitionOf, limits: Limits) -> None:
        self._producer, self._topic, self._partition_of = producer, topic, partition_of
        self._limits, self._compress = limits, compress_of(producer)

    def write(self, changes: Sequence[Change]) -> list[Any]:
        send, topic, partition_of = self._producer.send, self._topic, self._partition_of
        sent = []
        for change in changes:
            key = change.session_id.encode()
            fitted = self._limits.fit_snapshot(key, *snapshot_record(change), self._compress)
            if fitted is not None:
                value, headers = fitted
                partition = partition_of(change.session_id)
                sent.append(send(topic, value=value, key=key, headers=headers, partition=partition))
        return sent


class BatchWriter:
    """Attaches whole batches to the client's accumulator, with its locks and in the order in which `send` does it."""

    def __init__(self, producer: KafkaProducer, topic: str, partition_of: PartitionOf, limits: Limits) -> None:
        self._topic, self._partition_of, self._limits = topic, partition_of, limits
        self._accumulator: Any = producer._accumulator  # noqa: SLF001
        self._sender: Any = producer._sender  # noqa: SLF001
        self._transactions: Any = producer._transaction_manager  # noqa: SLF001
        config: dict[str, Any] = producer.config
        self._batch_bytes_max: int = min(config["batch_size"], limits.snapshot_bytes_max)
        self._codec = Codec(config["compression_attrs"], compress_of(producer))

    def write(self, changes: Sequence[Change]) -> list[Any]:
        """Partitions are added to the transaction first, so that the broker hears of them while we pack."""
        by_partition: defaultdict[Partition, list[Change]] = defaultdict(list)
        partition_of = self._partition_of
        for change in changes:
            by_partition[partition_of(change.session_id)].append(change)
        places = {partition: TopicPartition(self._topic, partition) for partition in by_partition}
        if self._transactions is not None and self._transactions.is_transactional():
            for place in places.values():
                self._transactions.maybe_add_partition_to_transaction(place)
            self._sender.wakeup()
        time_ms = time.time_ns() // 1_000_000
        return [
            self._attach(places[partition], payload, time_ms)
            for partition, of_partition in by_partition.items()
            for payload in payloads(self._records(of_partition), self._batch_bytes_max)
        ]

    def _records(self, changes: Sequence[Change]) -> Iterator[bytes]:
        limits = self._limits
        bytes_max = limits.snapshot_bytes_max - FITTED_BYTES
        for change in changes:
            key = change.session_id.encode()
            record = packed(change, key)
            if len(record) <= bytes_max:
                yield record
                continue
            fitted = limits.fit_snapshot(key, *snapshot_record(change), self._codec.compress)
            if fitted is not None:
                yield packed_record(key, *fitted)

    def _attach(self, place: TopicPartition, payload: Payload, time_ms: int) -> Any:
        """As `RecordAccumulator.append` attaches a new batch; the sender wakes for one that is full, as with `send`."""
        accumulator = self._accumulator
        records = PackedRecords(payload, time_ms, self._codec, self._batch_bytes_max)
        batch = ProducerBatch(place, records)
        batch._record_futures = PartFutures(batch)  # type: ignore[assignment]  # noqa: SLF001
        future = _future_of(batch.produce_future, 0)
        accumulator._appends_in_progress.increment()  # noqa: SLF001
        try:
            with accumulator._tp_lock(place):  # noqa: SLF001
                if accumulator._closed:  # noqa: SLF001
                    raise IllegalStateError("RecordAccumulator is closed")
                accumulator._batches[place].append(batch)  # noqa: SLF001
                accumulator._incomplete.add(batch)  # noqa: SLF001
        finally:
            accumulator._appends_in_progress.decrement()  # noqa: SLF001
        if records.is_full():
            self._sender.wakeup()
        return future


class PackedRecords:
    """What the sender asks of a batch's records, as `MemoryRecordsBuilder` answers it.

    Compressed and sealed when the sender takes it, on its thread: the compressors leave the interpreter to the other.
    """

    max_record_size = 0

    def __init__(self, payload: Payload, time_ms: int, codec: Codec, bytes_max: int) -> None:
        self._payload, self._time_ms, self._codec, self._bytes_max = payload, time_ms, codec, bytes_max
        self._size, self._count = len(payload[0]), payload[1]
        self._producer = Producer()
        self._sealed: bytearray | None = None
        """Once sealed it stays as it is: the broker knows a batch that is sent again by its sequence."""

    def append(self, *_record: Any) -> None:
        """Never takes another record: `send` then begins a batch of its own."""

    def set_producer_state(self, producer_id: int, epoch: int, sequence: int, is_transactional: bool) -> None:
        if self._sealed is not None:
            raise IllegalStateError("the producer of a batch that is sealed cannot be changed")
        self._producer = Producer(producer_id, epoch, sequence, is_transactional)

    @property
    def producer_id(self) -> int:
        return self._producer.id

    @property
    def producer_epoch(self) -> int:
        return self._producer.epoch

    @property
    def base_sequence(self) -> int:
        return self._producer.sequence

    def close(self) -> None:
        if self._sealed is None:
            self._sealed = sealed(self._payload, self._time_ms, self._codec, self._producer)
            self._payload = (b"", 0)

    def buffer(self) -> bytearray:
        assert self._sealed is not None
        return self._sealed

    def size_in_bytes(self) -> int:
        return self._size if self._sealed is None else len(self._sealed)

    def compression_rate(self) -> float:
        return self.size_in_bytes() / self._size

    def is_full(self) -> bool:
        """Whether it goes without waiting for company. The last one of a partition does not, unless it is large."""
        return self._size * 2 >= self._bytes_max

    def next_offset(self) -> int:
        return self._count


class PartFutures:
    """Stands in a batch for the futures of its records, which the sender asks for only if it has to split the batch.

    That happens where a topic takes smaller batches than we make. The client leaves the future of a batch that it has
    split undone for ever; here it is done when all records are. On the sender's thread only.
    """

    def __init__(self, batch: ProducerBatch) -> None:
        self._batch = batch
        self._left = batch.record_count
        self._failure: BaseException | None = None

    def __len__(self) -> int:
        return int(self._batch.record_count)

    def __getitem__(self, index: int) -> Any:
        """The future of the record there; the sender asks once for each, and binds it to the part that takes it."""
        future = _future_of(FutureProduceResult(self._batch.topic_partition), index)
        future.add_both(self._on_done)
        return future

    def _on_done(self, outcome: Any) -> None:
        self._left -= 1
        if isinstance(outcome, BaseException):
            self._failure = self._failure or outcome
        if self._left:
            return
        if self._failure is None:
            self._batch.complete(-1, -1)
        else:
            self._batch.complete_exceptionally(self._failure, lambda _: self._failure)


def _future_of(result: FutureProduceResult, index: int) -> Any:
    return FutureRecordMetadata(result, index, None, None, -1, -1, -1)


def compress_of(producer: KafkaProducer) -> Callable[[bytes], bytes] | None:
    config: dict[str, Any] = producer.config
    return _COMPRESS[config["compression_attrs"]]


_COMPRESS: dict[int, Callable[[bytes], bytes] | None] = {
    0: None,
    1: codec.gzip_encode,
    2: codec.snappy_encode,
    3: codec.lz4_encode,
    4: codec.zstd_encode,
}
