# kafka-python ships no types.
# mypy: disable-error-code="no-untyped-call"
import random
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.consumer.fetcher import Fetcher
from kafka.errors import CorruptRecordError
from kafka.protocol.consumer import IsolationLevel
from kafka.protocol.frame import KafkaBytes
from kafka.record import MemoryRecords, MemoryRecordsBuilder
from kafka.version import __version__

from projector.adapters.kafka import KafkaSettings
from projector.adapters.kafka.reading import TESTED, LeanRecords, Taken, ends_of, read_of
from projector.adapters.kafka.settings import consumer_options
from tests.services.topics import Topics

PLACE = TopicPartition("t", 0)


def test_the_installed_client_is_one_that_the_lean_reader_was_tested_with() -> None:
    assert __version__ in TESTED


def a_batch(records: list[tuple[int, bytes | None, bytes | None, list[tuple[str, bytes]]]], magic: int = 2) -> bytes:
    builder = MemoryRecordsBuilder(magic=magic, compression_type=0, batch_size=1 << 24)
    for timestamp, key, value, headers in records:
        builder.append(timestamp, key, value, headers)
    builder.close()
    return bytes(builder.buffer())


def reader(data: bytes, *, fetch_offset: int = 0, check_crcs: bool = True) -> LeanRecords:
    return LeanRecords(
        fetch_offset,
        PLACE,
        MemoryRecords(data),
        check_crcs=check_crcs,
        isolation_level=IsolationLevel.READ_COMMITTED,
        aborted_transactions=[],
    )


def taken(records: Any, n: int | None = None) -> list[Any]:
    found: list[Any] = []
    while records:
        found += records.take(n)
    return found


def plain(record: Any) -> tuple[Any, ...]:
    headers = [(name, value or b"") for name, value in record.headers]
    return record.partition, record.offset, record.timestamp, record.key, record.value, headers


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("fetch_offset", [0, 3])
def test_lean_records_are_the_stock_records(seed: int, fetch_offset: int) -> None:
    dice = random.Random(seed)
    sizes = (0, 1, 63, 64, 100, 8191, 8192, 70_000)
    made = [
        (
            dice.choice([0, 10**12, 10**12 - dice.randrange(10**10), dice.randrange(2**41)]),
            dice.choice([None, dice.randbytes(dice.choice(sizes))]),
            dice.choice([None, dice.randbytes(dice.choice(sizes))]),
            [("häder" * dice.randrange(20), dice.randbytes(dice.choice(sizes))) for _ in range(dice.randrange(3))],
        )
        for _ in range(dice.choice([1, 5, 70]))
    ]
    data = a_batch(made)
    stock = Fetcher.PartitionRecords(fetch_offset, PLACE, MemoryRecords(data))
    lean = reader(data, fetch_offset=fetch_offset)

    assert [plain(record) for record in taken(lean, 7)] == [plain(record) for record in taken(stock)]
    assert lean.next_fetch_offset == stock.next_fetch_offset


@pytest.mark.parametrize("size", [None, 0, 4, 4095, 4096, 9000, 20_000])
def test_a_part_of_an_answer_is_the_one_that_the_stock_method_reads(size: int | None) -> None:
    for begin in (0, 3, 9999, 10_000):
        ours, stock = KafkaBytes(10_000), KafkaBytes(10_000)
        stock[:] = random.Random(1).randbytes(10_000)
        ours[:] = stock
        ours.seek(begin)
        stock.seek(begin)

        assert read_of(ours, size) == _STOCK_READ(stock, size)
        assert ours.tell() == stock.tell()


_STOCK_READ = KafkaBytes.read
"""As it is before a consumer is made the fast way."""


def test_the_formats_before_headers_are_read_too() -> None:
    data = a_batch([(5, b"k", b"v", []), (6, None, b"w", [])], magic=1)

    assert [plain(record) for record in taken(reader(data))] == [(0, 0, 5, b"k", b"v", []), (0, 1, 6, None, b"w", [])]


def test_a_header_key_that_is_not_utf8_stops_nobody() -> None:
    data = a_batch([(5, b"k", b"v", [("key", b"x")])]).replace(b"key", b"k\xff\xfe")

    (record,) = taken(reader(data, check_crcs=False))

    assert record.headers == [("k\ufffd\ufffd", b"x")]


def test_a_null_header_value_is_empty() -> None:
    assert Taken(0, 0, 0, None, None, b"\x02\x02a\x01").headers == [("a", b"")]


@pytest.mark.parametrize("flipped", [70, -1])
def test_a_batch_that_fails_its_checksum_is_told_once_and_ends_the_fetch(flipped: int) -> None:
    data = bytearray(a_batch([(5, b"key", b"value", [])]))
    data[flipped] ^= 0xFF
    records = reader(bytes(data))

    with pytest.raises(CorruptRecordError, match="checksum"):
        records.take(10)

    assert not records


@pytest.mark.parametrize("cut", range(62, 74))
def test_records_that_are_not_as_long_as_they_say_are_corrupt(cut: int) -> None:
    data = bytearray(a_batch([(5, b"key", b"value", [("h", b"v")]), (6, b"k", None, [])]))
    data[cut] ^= 0x40
    records = reader(bytes(data), check_crcs=False)
    try:
        found = taken(records)
    except CorruptRecordError:
        found = []

    assert not records
    assert len(found) in (0, 2)  # Either noticed, or only the content of a field is another.


@pytest.mark.parametrize("compression", [None, "gzip", "lz4", "zstd"])
def test_both_ways_of_reading_give_the_same_from_a_broker(
    compression: str | None, kafka: Topics, settings: KafkaSettings, unique_name: Callable[[str], str]
) -> None:
    topic = settings.input_topic
    producer = KafkaProducer(
        bootstrap_servers=kafka.bootstrap,
        transactional_id=unique_name("w"),
        compression_type=compression,
        retry_backoff_ms=10,
    )
    with closing(producer):
        producer.init_transactions()
        for round_, end in enumerate(
            [producer.commit_transaction, producer.abort_transaction, producer.commit_transaction]
        ):
            producer.begin_transaction()
            for i in range(200):
                key = b"%d" % i if i % 3 else None
                producer.send(topic, b"v%d.%d" % (round_, i), key=key, partition=0, headers=[("i", b"%d" % i)])
            producer.flush()
            end()

    stock, lean = (from_broker(settings, begin_at=57, lean=lean) for lean in (False, True))

    assert len(stock[0]) == 400 - 57
    assert lean == stock


def from_broker(settings: KafkaSettings, *, begin_at: int, lean: bool) -> tuple[list[Any], int]:
    """All records of partition 0 in the form of `plain`, and the position after them."""
    place = TopicPartition(settings.input_topic, 0)
    consumer = KafkaConsumer(**consumer_options(settings) | {"max_poll_records": 90})
    with closing(consumer):
        if lean:
            ends_of(consumer, settings.input_topic)
        consumer.assign([place])
        consumer.seek(place, begin_at)
        (end,) = consumer.end_offsets([place]).values()
        found: list[Any] = []
        for _ in range(100):
            if consumer.position(place) >= end:
                break
            for records in consumer.poll(timeout_ms=200).values():
                found += [plain(record) for record in records]
        assert {type(record) for record in found} == {tuple}
        return found, consumer.position(place)
