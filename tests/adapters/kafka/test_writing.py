# kafka-python ships no types.
# mypy: disable-error-code="no-untyped-call"
import json
import random
import threading
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from kafka import KafkaProducer
from kafka.errors import IllegalStateError, KafkaConnectionError, KafkaError
from kafka.producer.sender import Sender
from kafka.version import __version__

from projector.adapters.kafka import Cut, KafkaPublisher, KafkaSettings, writing
from projector.adapters.kafka.fitting import LEFT_OUT
from projector.adapters.kafka.packing import Codec
from projector.adapters.kafka.settings import producer_options
from projector.adapters.kafka.writing import TESTED, BatchWriter, PackedRecords, RecordWriter
from projector.errors import Doubt
from projector.ports import Change
from tests.adapters.kafka.polling import published
from tests.adapters.kafka.test_publisher import a_change
from tests.end_to_end import kcat
from tests.services.topics import Topics

NewPublisher = Callable[..., KafkaPublisher]
with_each_delivery = pytest.mark.parametrize("delivery", ["exactly-once", "at-least-once"])


@pytest.fixture(params=["batches", "records"])
def either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> type[Any]:
    """The class that publishers of this test write with."""
    if request.param == "batches":
        return BatchWriter
    _untested(monkeypatch)
    return RecordWriter


def _untested(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "TESTED", ())


def changes(count: int, *, noise: int = 0, first: int = 0) -> list[Change]:
    """Sessions, some of them twice, and a tombstone in ten; noise: so many characters that no codec makes smaller."""
    dice = random.Random(count)
    made = []
    for i in range(first, first + count):
        session_id = f"sessiön-{i % max(1, count * 3 // 4)}"
        text = {"dataType": "STRING", "value": f"{dice.randbytes(noise // 2).hex()}{i}"}
        gone = i % 10 == 9
        made.append(Change(session_id, i, None) if gone else a_change(session_id, i, attributes={"n": text}))
    return made


def plain(records: list[Any]) -> list[tuple[Any, ...]]:
    return [(r.partition, r.offset, r.timestamp_type, r.key, r.value, r.headers) for r in records]


def revisions(records: list[Any]) -> list[int]:
    return sorted(int(dict(record.headers)["projector.revision"]) for record in records)


def test_the_installed_client_is_one_that_whole_batches_were_tested_with(new_publisher: NewPublisher) -> None:
    assert __version__ in TESTED
    assert isinstance(new_publisher()._writer, BatchWriter)


def test_with_another_version_of_the_client_nothing_private_is_used(
    monkeypatch: pytest.MonkeyPatch, new_publisher: NewPublisher
) -> None:
    _untested(monkeypatch)

    assert isinstance(new_publisher()._writer, RecordWriter)


@with_each_delivery
@pytest.mark.parametrize("compression", [None, "gzip", "lz4", "zstd"])
def test_batches_hold_what_the_stock_way_sends(
    compression: str | None,
    delivery: str,
    kafka: Topics,
    settings: KafkaSettings,
    new_publisher: NewPublisher,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stock = kafka.create(f"{settings.output_topic}-stock", partitions=3)
    monkeypatch.setattr(  # None is no word of the settings.
        "projector.adapters.kafka.publisher.producer_options",
        lambda *given: producer_options(*given) | {"compression_type": compression},
    )
    ours = msgspec.structs.replace(settings, delivery=delivery, extra={"batch_size": 20_000})
    made = changes(300)

    new_publisher(ours).publish(made, [], {}, None)
    _untested(monkeypatch)
    new_publisher(msgspec.structs.replace(ours, output_topic=stock)).publish(made, [], {}, None)

    whole = published(kafka, ours.output_topic)
    assert plain(whole) == plain(published(kafka, stock))
    assert revisions(whole) == list(range(300))
    read, expected = (kcat.read(kafka.bootstrap, topic) for topic in (ours.output_topic, stock))
    for message, other in zip(read, expected, strict=True):
        assert abs(message.timestamp - other.timestamp) < 60_000
        assert (message.partition, message.offset, message.key) == (other.partition, other.offset, other.key)
        assert (message.value, message.headers) == (other.value, other.headers)


@with_each_delivery
def test_many_batches_of_a_partition_arrive_once_and_in_order(
    delivery: str, kafka: Topics, settings: KafkaSettings, new_publisher: NewPublisher
) -> None:
    small = msgspec.structs.replace(settings, delivery=delivery, extra={"batch_size": 3000})
    publisher = new_publisher(small)

    for first in (0, 200, 400):
        publisher.publish(changes(200, first=first), [], {}, None)

    records = published(kafka, settings.output_topic)
    assert revisions(records) == list(range(600))
    for key in {record.key for record in records}:
        told = [int(dict(record.headers)["projector.revision"]) for record in records if record.key == key]
        assert told == sorted(told)


@with_each_delivery
def test_batches_whose_answer_was_lost_are_sent_again_and_are_there_once(
    delivery: str,
    kafka: Topics,
    settings: KafkaSettings,
    new_publisher: NewPublisher,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    publisher = new_publisher(msgspec.structs.replace(settings, delivery=delivery, extra={"batch_size": 3000}))
    answered = Sender._handle_produce_response
    lost: list[Any] = []

    def lose_three(self: Any, node: int, sent_at: float, batches: Any, response: Any) -> None:
        if len(lost) < 3:
            lost.append(batches)
            self._failed_produce(batches, node, KafkaConnectionError("lost"))
        else:
            answered(self, node, sent_at, batches, response)

    monkeypatch.setattr(Sender, "_handle_produce_response", lose_three)
    publisher.publish(changes(200), [], {}, None)

    assert len(lost) == 3
    assert revisions(published(kafka, settings.output_topic)) == list(range(200))


@with_each_delivery
def test_batches_larger_than_the_topic_takes_are_split(
    delivery: str,
    either_way: type[Any],
    kafka: Topics,
    settings: KafkaSettings,
    unique_name: Callable[[str], str],
    new_publisher: NewPublisher,
) -> None:
    narrow = kafka.create(unique_name("narrow"), configs={"max.message.bytes": "20000"})
    publisher = new_publisher(msgspec.structs.replace(settings, delivery=delivery, output_topic=narrow))
    assert isinstance(publisher._writer, either_way)

    publisher.publish(changes(60, noise=2000), [], {}, None)
    publisher.publish(changes(60, noise=2000, first=60), [], {}, None)

    records = published(kafka, narrow)
    assert [int(dict(record.headers)["projector.revision"]) for record in records] == list(range(120))


@with_each_delivery
def test_one_record_of_many_that_its_topic_does_not_take_is_cut_after_a_doubt(
    delivery: str,
    either_way: type[Any],
    kafka: Topics,
    settings: KafkaSettings,
    unique_name: Callable[[str], str],
    new_publisher: NewPublisher,
) -> None:
    narrow = kafka.create(unique_name("narrow"), configs={"max.message.bytes": "20000"})
    cuts: list[Cut] = []
    publisher = new_publisher(
        msgspec.structs.replace(settings, delivery=delivery, output_topic=narrow), told=cuts.append
    )
    assert isinstance(publisher._writer, either_way)
    batch = [*changes(20), *changes(1, noise=60_000, first=20), *changes(20, first=21)]

    with pytest.raises(Doubt, match="larger than its topic takes"):
        publisher.publish(batch, [], {}, None)
    publisher.renew()
    publisher.publish(batch, [], {}, None)

    records = published(kafka, narrow)[-41:]
    assert revisions(records) == list(range(41))
    (cut,) = (record for record in records if LEFT_OUT in dict(record.headers))
    assert dict(cut.headers)[LEFT_OUT] == b"attributes"
    assert "attributes" not in json.loads(cut.value)
    assert [(one.key, one.left_out) for one in cuts] == [(cut.key.decode(), ("attributes",))]
    assert cuts[0].size > 60_000


def test_a_record_larger_than_a_request_takes_is_cut_at_once(
    either_way: type[Any], kafka: Topics, settings: KafkaSettings, new_publisher: NewPublisher
) -> None:
    publisher = new_publisher(msgspec.structs.replace(settings, extra={"max_request_size": 5000}))
    assert isinstance(publisher._writer, either_way)

    publisher.publish([*changes(3), *changes(1, noise=6000, first=3)], [], {}, None)

    by_revision = {
        number: record for record in published(kafka, settings.output_topic) for number in revisions([record])
    }
    assert [LEFT_OUT in dict(by_revision[number].headers) for number in range(4)] == [False, False, False, True]


@with_each_delivery
def test_a_batch_that_was_given_up_is_a_doubt_though_flush_is_content(
    delivery: str,
    either_way: type[Any],
    kafka: Topics,
    settings: KafkaSettings,
    new_publisher: NewPublisher,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    publisher = new_publisher(msgspec.structs.replace(settings, delivery=delivery))
    assert isinstance(publisher._writer, either_way)
    write = either_way.write

    def write_and_give_up(self: Any, made: Any) -> Any:
        futures = write(self, made)
        for queue in publisher._producer._accumulator._batches.values():  # type: ignore[union-attr]
            queue[0].created -= 3600  # As if the broker had not taken it for an hour.
        return futures

    monkeypatch.setattr(either_way, "write", write_and_give_up)

    with pytest.raises(Doubt, match="Expiring"):
        publisher.publish(changes(1), [], {}, None)
    publisher.renew()

    if delivery == "exactly-once":  # Else it may have been on its way when it was given up.
        assert published(kafka, settings.output_topic) == []


def test_a_record_that_is_sent_after_a_batch_of_its_partition_comes_after_it(
    kafka: Topics, settings: KafkaSettings, new_publisher: NewPublisher
) -> None:
    publisher = new_publisher(msgspec.structs.replace(settings, delivery="at-least-once"))
    (change,) = changes(1)
    producer, writer = publisher._producer, publisher._writer
    assert producer is not None
    assert isinstance(writer, BatchWriter)
    partition = writer._partition_of(change.session_id)

    futures = writer.write([change])
    futures.append(producer.send(settings.output_topic, b"after", key=b"k", partition=partition))
    futures += writer.write([change])
    producer.flush(timeout=30)

    values = [record.value for record in published(kafka, settings.output_topic)]
    assert all(future.succeeded() for future in futures)
    assert [value == b"after" for value in values] == [False, True, False]


def test_batches_of_a_producer_that_is_thrown_away_fail_at_once(
    settings: KafkaSettings, new_publisher: NewPublisher
) -> None:
    publisher = new_publisher(msgspec.structs.replace(settings, extra={"linger_ms": 20_000}))
    producer, writer = publisher._producer, publisher._writer
    assert producer is not None
    assert isinstance(writer, BatchWriter)
    producer.begin_transaction()
    (future,) = writer.write(changes(1))
    done = threading.Event()
    future.add_both(lambda *_: done.set())

    publisher.close()

    assert done.wait(30)
    assert isinstance(future.exception, KafkaError)
    with pytest.raises(KafkaError):
        writer.write(changes(1))


def test_a_sealed_batch_keeps_its_producer_and_its_bytes() -> None:
    records = PackedRecords((b"x", 1), 0, Codec(), 100)
    records.set_producer_state(1, 2, 3, True)
    records.close()
    first = bytes(records.buffer())

    with pytest.raises(IllegalStateError):
        records.set_producer_state(1, 2, 4, True)
    records.close()

    assert records.buffer() == first
    assert (records.producer_id, records.producer_epoch, records.base_sequence) == (1, 2, 3)
    assert records.size_in_bytes() == len(first)


def test_the_stock_way_sends_each_record(
    monkeypatch: pytest.MonkeyPatch, kafka: Topics, settings: KafkaSettings, new_publisher: NewPublisher
) -> None:
    _untested(monkeypatch)
    sent, send = [], KafkaProducer.send

    def counting(self: Any, *args: Any, **options: Any) -> Any:
        sent.append(options["key"])
        return send(self, *args, **options)

    monkeypatch.setattr(KafkaProducer, "send", counting)
    made = changes(8)

    new_publisher().publish(made, [], {}, None)

    assert sent == [change.session_id.encode() for change in made]
    assert revisions(published(kafka, settings.output_topic)) == list(range(8))
