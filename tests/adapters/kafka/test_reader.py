# kafka-python ships no types.
# mypy: disable-error-code="no-untyped-call"
from collections.abc import Callable, Iterator
from contextlib import closing

import msgspec
import pytest
from kafka import KafkaProducer

from projector.adapters.kafka import KafkaSettings, TopicReader
from projector.errors import WrongInput
from projector.ports import Span
from tests.adapters.kafka.polling import places, read_to_end, values
from tests.services.topics import Topics

NewReader = Callable[..., TopicReader]


@pytest.fixture
def new_reader(settings: KafkaSettings) -> Iterator[NewReader]:
    readers: list[TopicReader] = []

    def new(since: int | None = None) -> TopicReader:
        readers.append(TopicReader(settings, since=since))
        return readers[-1]

    yield new
    for reader in readers:
        reader.close()


def test_every_partition_is_read_from_its_beginning(
    kafka: Topics, settings: KafkaSettings, new_reader: NewReader
) -> None:
    kafka.send(settings.input_topic, [(None, b"a"), (None, b"b")], partition=0)
    kafka.send(settings.input_topic, [(None, b"c")], partition=1)
    reader = new_reader()

    batches = read_to_end(reader)

    assert values(batches) == [b"a", b"b", b"c"]
    assert places(batches) == {0: 2, 1: 1}
    assert {batch.generation for batch in batches} == {1}
    assert reader.partitions() == (0, 1)


def test_what_comes_after_the_start_is_not_read(kafka: Topics, settings: KafkaSettings, new_reader: NewReader) -> None:
    kafka.send(settings.input_topic, [(None, b"before")], partition=0)
    reader = new_reader()
    kafka.send(settings.input_topic, [(None, b"after")] * 3, partition=0)
    kafka.send(settings.input_topic, [(None, b"after")], partition=1)

    batches = read_to_end(reader)
    more = [reader.poll(), reader.poll()]

    assert values(batches) == [b"before"]
    assert places(batches) == {0: 1}
    assert values(more) == []
    assert [batch.at_end for batch in more] == [{0, 1}] * 2
    assert reader.spans([0, 1]) == {0: Span(0, 1), 1: Span(0, 0)}


def test_transactions_are_read_as_a_read_committed_reader_does(
    kafka: Topics, settings: KafkaSettings, new_reader: NewReader, unique_name: Callable[[str], str]
) -> None:
    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap, transactional_id=unique_name("w"), retry_backoff_ms=10)
    with closing(producer):
        producer.init_transactions()
        for value, end in ((b"kept", producer.commit_transaction), (b"dropped", producer.abort_transaction)):
            producer.begin_transaction()
            producer.send(settings.input_topic, value, partition=0)
            producer.flush()
            end()
        producer.begin_transaction()
        producer.send(settings.input_topic, b"open", partition=0)
        producer.flush()

        batches = read_to_end(new_reader())
        producer.abort_transaction()

    assert values(batches) == [b"kept"]
    assert places(batches) == {0: 4}


def test_since_begins_at_the_first_record_of_that_time(
    kafka: Topics, settings: KafkaSettings, new_reader: NewReader
) -> None:
    for at in (1000, 2000, 3000):
        kafka.send(settings.input_topic, [(None, b"%d" % at)], partition=0, timestamp_ms=at)
    kafka.send(settings.input_topic, [(None, b"old")], partition=1, timestamp_ms=1)

    batches = read_to_end(new_reader(since=2000))

    assert values(batches) == [b"2000", b"3000"]
    assert batches[-1].at_end == {0, 1}


def test_begin_at_places_it_elsewhere_also_after_the_end(
    kafka: Topics, settings: KafkaSettings, new_reader: NewReader
) -> None:
    kafka.send(settings.input_topic, [(None, b"%d" % i) for i in range(4)], partition=0)
    reader = new_reader()
    read_to_end(reader)

    reader.begin_at({0: 2})
    batches = read_to_end(reader)

    assert values(batches) == [b"2", b"3"]


def test_nothing_is_committed(kafka: Topics, settings: KafkaSettings, new_reader: NewReader) -> None:
    kafka.send(settings.input_topic, [(None, b"a")], partition=0)
    reader = new_reader()
    read_to_end(reader)

    assert reader.committed([0, 1]) == {}
    assert kafka.committed(settings.group_id) == {}


def test_a_missing_topic_says_how_to_make_it(settings: KafkaSettings, unique_name: Callable[[str], str]) -> None:
    with pytest.raises(WrongInput, match="projector doctor --create-topics"):
        TopicReader(msgspec.structs.replace(settings, input_topic=unique_name("none")))
