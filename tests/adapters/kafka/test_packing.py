# kafka-python ships no types.
# mypy: disable-error-code="no-untyped-call"
import random
import time
from typing import Any

import pytest
from kafka import codec
from kafka.record import MemoryRecords
from kafka.record.default_records import DefaultRecordBatch
from kafka.record.util import encode_varint

from projector.adapters.kafka.outgoing import snapshot_record
from projector.adapters.kafka.packing import Codec, Producer, _varint, packed, payloads, sealed
from projector.ports import Change
from tests.adapters.kafka.test_publisher import a_change

NONE = Codec()
LARGE = 1 << 24


def changes() -> list[Change]:
    """Keys, values, revisions and headers on both sides of where their sizes take another byte."""
    sizes = (0, 1, 40, 63, 64, 5000, 7500, 7700, 8192, 70_000, 1_000_000)
    texts = [{"attributes": {"a": {"dataType": "STRING", "value": "é" + "x" * size}}} for size in sizes]
    ids = ["s", "séance", "k" * 59, "k" * 60, "k" * 61, "k" * 62, "k" * 63, "k" * 64, "k" * 9000]
    found = [a_change(session_id, 3) for session_id in ids]
    found += [a_change("s", 10**i, **text) for i, text in enumerate(texts)]
    found += [Change(session_id, 2**40, None, merged_into="kept" * 40) for session_id in ids]
    return [*found, Change("gone", 1, None)]


def stock(change: Change) -> tuple[Any, ...]:
    return change.session_id.encode(), *snapshot_record(change)


def batch_of(data: bytes | bytearray) -> Any:
    """The only one in there."""
    records = MemoryRecords(data)
    batch = records.next_batch()
    assert isinstance(batch, DefaultRecordBatch)
    assert batch.validate_crc()
    assert not records.has_next()
    return batch


def test_a_packed_change_is_what_the_stock_producer_would_send_of_it() -> None:
    made = changes()
    records = [packed(change, change.session_id.encode()) for change in made]
    (payload,) = payloads(records, LARGE)

    read = list(batch_of(sealed(payload, 1234, NONE, Producer())))

    assert [(record.key, record.value, record.headers) for record in read] == [stock(change) for change in made]
    assert [record.offset for record in read] == list(range(len(made)))
    assert {(record.timestamp, record.timestamp_type) for record in read} == {(1234, 0)}


def test_a_batch_may_have_more_records_than_sizes_are_prepared_for() -> None:
    record = packed(Change("gone", 1, None), b"gone")
    ((data, count),) = payloads([record] * 20_000, LARGE)

    offsets = [one.offset for one in batch_of(sealed((data, count), 0, NONE, Producer()))]

    assert offsets == list(range(20_000))


def test_a_batch_says_who_it_is_from_and_when_it_was_made() -> None:
    payload = (next(payloads([packed(Change("gone", 1, None), b"gone")] * 3, LARGE))[0], 3)
    now = int(time.time() * 1000)

    batch = batch_of(sealed(payload, now, NONE, Producer(2**40, 7, 2**31 - 1, transactional=True)))
    plain = batch_of(sealed(payload, now, NONE, Producer()))

    assert (batch.producer_id, batch.producer_epoch, batch.base_sequence) == (2**40, 7, 2**31 - 1)
    assert (batch.base_offset, batch.last_offset_delta, batch.records_count) == (0, 2, 3)
    assert (batch.first_timestamp, batch.max_timestamp, batch.timestamp_type) == (now, now, 0)
    assert (batch.is_transactional, plain.is_transactional) == (True, False)
    assert not plain.has_producer_id()


@pytest.mark.parametrize(
    "compression", [Codec(1, codec.gzip_encode), Codec(3, codec.lz4_encode), Codec(4, codec.zstd_encode)]
)
def test_a_batch_is_compressed_where_that_makes_it_smaller(compression: Codec) -> None:
    dice = random.Random(1)
    ((large, count),) = payloads([b"\x02k" + b"\x01" + b"\0"] * 500, LARGE)
    noise = dice.randbytes(100)

    batch = batch_of(sealed((large, count), 0, compression, Producer()))
    same = sealed((noise, 1), 0, compression, Producer())

    assert batch.compression_type == compression.number
    assert batch.size_in_bytes < len(large)
    assert len(list(batch)) == 500
    assert batch_of(same).compression_type == 0
    assert same.endswith(noise)


@pytest.mark.parametrize("bytes_max", [0, 100, 1000, 5000, LARGE])
def test_records_are_split_into_payloads_of_at_most_so_many_bytes_unless_one_alone_is_larger(bytes_max: int) -> None:
    dice = random.Random(bytes_max)
    records = [dice.randbytes(dice.choice([1, 30, 150, 2000])) for _ in range(300)]

    made = list(payloads(records, bytes_max))

    assert sum(count for _, count in made) == 300
    assert all(len(data) <= bytes_max or count == 1 for data, count in made)
    in_order = b"".join(data for data, _ in made)
    places = [in_order.index(record) for record in records if len(record) > 8]
    assert places == sorted(places)


def test_no_records_make_no_payload() -> None:
    assert list(payloads([], LARGE)) == []


@pytest.mark.parametrize("bits", range(31))
def test_numbers_are_written_as_kafka_python_writes_them(bits: int) -> None:
    for number in (2**bits - 1, 2**bits):
        expected = bytearray()
        encode_varint(number, expected.append)

        assert _varint(number) == expected
