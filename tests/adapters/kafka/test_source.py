# kafka-python ships no types.
# mypy: disable-error-code="no-untyped-call"
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import msgspec
import pytest
from kafka import KafkaProducer, OffsetAndMetadata, TopicPartition
from structlog.testing import capture_logs

from projector.adapters.kafka import KafkaPublisher, KafkaSettings, KafkaSource
from projector.adapters.kafka import source as module
from projector.adapters.kafka.abandoned import end_abandoned
from projector.errors import Doubt, Fenced, Unavailable, WrongInput
from projector.instance import worker_name
from projector.ports import Batch, Committed, Span
from tests.adapters.kafka.polling import assigned, begun, places, poll_until, published, read_to_end, values
from tests.services.process import wait_for
from tests.services.topics import Topics

NewSource = Callable[..., KafkaSource]


@contextmanager
def transactional(kafka: Topics, transactional_id: str) -> Iterator[KafkaProducer]:
    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap, transactional_id=transactional_id, retry_backoff_ms=10)
    try:
        producer.init_transactions()
        yield producer
    finally:
        producer.close()


def begin_with_positions(producer: KafkaProducer, member: KafkaSource) -> None:
    """Begins a transaction, which stays open, with a position of the member's partition 0."""
    begun(member)
    group = read_to_end(member)[-1].group
    producer.begin_transaction()
    place = {TopicPartition(member.topic, 0): OffsetAndMetadata(5, "m", -1)}
    producer.send_offsets_to_transaction(place, group)


def test_a_new_generation_brings_no_records_before_begin_at(
    kafka: Topics, settings: KafkaSettings, new_source: NewSource
) -> None:
    kafka.send(settings.input_topic, [(None, b"a")], partition=0)
    source = new_source()

    first = assigned(source)
    second = source.poll()

    assert first.assigned == second.assigned == (0, 1)
    assert first.generation == second.generation > 0
    assert not first.records
    assert not second.records
    assert not second.at_end


def test_records_come_from_where_begin_at_says(kafka: Topics, settings: KafkaSettings, new_source: NewSource) -> None:
    kafka.send(settings.input_topic, [(None, b"%d" % i) for i in range(5)], partition=0)
    kafka.send(settings.input_topic, [("k", b"other")], partition=1, timestamp_ms=1234)
    source = new_source()
    assigned(source)

    source.begin_at({0: 3, 1: 0})
    batches = read_to_end(source)

    assert values(batches) == [b"3", b"4", b"other"]
    assert places(batches) == {0: 5, 1: 1}
    (other,) = [record for batch in batches for record in batch.records if record.partition == 1]
    assert (other.offset, other.timestamp, other.key, list(other.headers)) == (0, 1234, b"k", [])


def test_what_comes_while_records_wait_in_the_client_is_in_the_same_batch(
    kafka: Topics, settings: KafkaSettings, new_source: NewSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    kafka.send(settings.input_topic, [(None, b"taken"), (None, b"waits")], partition=0)
    source = new_source()
    monkeypatch.setattr(module, "COMPANY_MS", 20_000)  # Returns as soon as there are records.
    begun(source)
    source.records_max = 1  # Of what one fetch brings.
    poll_until(source, lambda batch: bool(batch.records))
    source.records_max = 1000
    stock = source._ends.answered_since

    def answered_since(moment: float) -> bool:
        answered = stock(moment)  # Before another comes: what waited has been taken, and nothing else was there.
        kafka.send(settings.input_topic, [(None, b"comes")], partition=0)
        return answered

    monkeypatch.setattr(source._ends, "answered_since", answered_since)

    batches = poll_until(source, lambda batch: bool(batch.records))

    assert [record.value for record in batches[-1].records] == [b"waits", b"comes"]


def test_a_record_that_has_just_come_does_not_wait_for_others(
    kafka: Topics, settings: KafkaSettings, new_source: NewSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = new_source()
    begun(source)
    read_to_end(source)
    polls = list[object]()
    stock = source._consumer.poll

    def poll(*args: object, **options: object) -> object:
        polls.append(found := stock(*args, **options))
        return found

    monkeypatch.setattr(source._consumer, "poll", poll)
    kafka.send(settings.input_topic, [(None, b"alone")], partition=0)

    batches = poll_until(source, lambda batch: bool(batch.records))

    assert [record.value for record in batches[-1].records] == [b"alone"]
    assert polls[-1], "it was asked once more after the record had come"


def test_a_partition_that_was_not_begun_stays_silent(
    kafka: Topics, settings: KafkaSettings, new_source: NewSource
) -> None:
    kafka.send(settings.input_topic, [(None, b"a")], partition=0)
    kafka.send(settings.input_topic, [(None, b"b")], partition=1)
    source = new_source()
    assigned(source)

    source.begin_at({1: 0})
    batches = poll_until(source, lambda batch: 1 in batch.at_end)

    assert values(batches) == [b"b"]
    assert places(batches) == {1: 1}


def test_an_empty_partition_is_at_its_end_only_after_the_broker_has_said_so(new_source: NewSource) -> None:
    source = new_source()

    batches = [begun(source), *read_to_end(source)]

    assert [batch.at_end for batch in batches[:1]] == [frozenset()]
    assert batches[-1].at_end == {0, 1}
    assert places(batches) == {}


def test_records_that_wait_in_the_client_keep_a_partition_from_its_end(
    kafka: Topics, settings: KafkaSettings, new_source: NewSource
) -> None:
    kafka.send(settings.input_topic, [(None, b"%d" % i) for i in range(9)], partition=0)
    source = new_source(msgspec.structs.replace(settings, extra={"max_poll_records": 4}))
    begun(source)

    batches = read_to_end(source)

    ends = [0 in batch.at_end for batch in batches if batch.records]
    assert values(batches) == [b"%d" % i for i in range(9)]
    assert ends == [False, False, True]


def test_the_end_of_a_committed_transaction_is_passed(
    kafka: Topics, settings: KafkaSettings, new_source: NewSource, unique_name: Callable[[str], str]
) -> None:
    with transactional(kafka, unique_name("writer")) as producer:
        producer.begin_transaction()
        producer.send(settings.input_topic, b"a", partition=0)
        producer.commit_transaction()
    source = new_source()
    begun(source)

    batches = read_to_end(source)

    assert values(batches) == [b"a"]
    assert places(batches) == {0: 2}
    assert source.spans([0]) == {0: Span(0, 2)}


def test_an_aborted_transaction_is_passed_and_not_seen(
    kafka: Topics, settings: KafkaSettings, new_source: NewSource, unique_name: Callable[[str], str]
) -> None:
    with transactional(kafka, unique_name("writer")) as producer:
        producer.begin_transaction()
        producer.send(settings.input_topic, b"never", partition=0)
        producer.flush()
        producer.abort_transaction()
    source = new_source()
    begun(source)

    batches = read_to_end(source)

    assert values(batches) == []
    assert places(batches) == {0: 2}


def test_what_an_open_transaction_holds_back_does_not_keep_a_partition_from_its_end(
    kafka: Topics, settings: KafkaSettings, new_source: NewSource, unique_name: Callable[[str], str]
) -> None:
    kafka.send(settings.input_topic, [(None, b"before")], partition=0)
    source = new_source()
    begun(source)
    with transactional(kafka, unique_name("writer")) as producer:
        producer.begin_transaction()
        producer.send(settings.input_topic, b"held", partition=0)
        producer.flush()
        kafka.send(settings.input_topic, [(None, b"behind")], partition=0)

        held = read_to_end(source)
        producer.commit_transaction()
        released = poll_until(source, lambda batch: batch.next.get(0, 0) == 4)

    assert values(held) == [b"before"]
    assert values(released) == [b"held", b"behind"]
    assert 0 in released[-1].at_end


def test_asking_the_broker_finds_the_same_ends(
    kafka: Topics,
    settings: KafkaSettings,
    new_source: NewSource,
    unique_name: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("projector.adapters.kafka.reading.TESTED", ())
    with transactional(kafka, unique_name("writer")) as producer:
        producer.begin_transaction()
        producer.send(settings.input_topic, b"a", partition=0, headers=[("h", b"v")])
        producer.commit_transaction()
    source = new_source()
    begun(source)

    batches = read_to_end(source)

    assert type(source._ends).__name__ == "AskedEnds"
    assert values(batches) == [b"a"]
    assert places(batches) == {0: 2}
    (record,) = [record for batch in batches for record in batch.records]
    assert list(record.headers) == [("h", b"v")]


def test_each_change_of_the_assignment_is_a_new_generation(new_source: NewSource) -> None:
    one, other = new_source(), new_source()
    alone = begun(one)

    def shared(batch: Batch) -> bool:
        seen = one.poll()
        return len(seen.assigned) == 1 and len(batch.assigned) == 1

    half = poll_until(other, shared)[-1]
    mine = one.poll()
    one.begin_at(dict.fromkeys(mine.assigned, 0))
    read_to_end(one)
    other.close()
    again = poll_until(one, lambda batch: batch.assigned == (0, 1))[-1]

    assert set(mine.assigned) | set(half.assigned) == {0, 1}
    assert alone.generation < mine.generation < again.generation
    assert not again.at_end


def test_records_fetched_before_a_rebalance_are_not_delivered_after_it(
    kafka: Topics, settings: KafkaSettings, new_source: NewSource
) -> None:
    few = msgspec.structs.replace(settings, extra={"max_poll_records": 1})
    kafka.send(settings.input_topic, [(None, b"%d" % i) for i in range(50)], partition=0)
    one, other = new_source(few), new_source()
    begun(one)
    poll_until(one, lambda batch: bool(batch.records))

    changed = poll_until(one, lambda batch: other.poll() is not None and len(batch.assigned) == 1)
    after = [batch for batch in changed if batch.generation == changed[-1].generation]

    assert not any(batch.records for batch in after)


def test_a_rebalance_that_takes_longer_than_a_poll_waits_is_finished(
    kafka: Topics, settings: KafkaSettings, new_source: NewSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    watchful = msgspec.structs.replace(settings, extra={"metadata_max_age_ms": 200})
    one, other = new_source(watchful), new_source(watchful)
    assigned(one)
    poll_until(one, lambda batch: len(other.poll().assigned) == len(batch.assigned) == 1)
    monkeypatch.setattr(module, "POLL_MS", 20)
    monkeypatch.setattr(module, "JOIN_MS", 20)

    kafka.add_partitions(settings.input_topic, 5)
    poll_until(one, lambda batch: not batch.assigned)
    waiting = [one.poll() for _ in range(10)]
    monkeypatch.undo()
    joined = poll_until(one, lambda batch: len(other.poll().assigned) + len(batch.assigned) == 5)

    assert not any(batch.assigned for batch in waiting)
    assert joined[-1].assigned


def test_a_partition_that_is_not_ours_cannot_be_begun(new_source: NewSource) -> None:
    source = new_source()
    assigned(source)

    with pytest.raises(Doubt, match="assigned"):
        source.begin_at({2: 0})


def test_an_offset_that_the_log_does_not_have_is_a_doubt_and_reading_can_begin_again(
    kafka: Topics, settings: KafkaSettings, new_source: NewSource
) -> None:
    kafka.send(settings.input_topic, [(None, b"a")], partition=0)
    source = new_source()
    assigned(source)
    source.begin_at({0: 7, 1: 0})

    with pytest.raises(Doubt, match=settings.input_topic):
        poll_until(source, lambda _: False)
    held = source.poll()
    source.begin_at({0: 0, 1: 0})
    batches = read_to_end(source)

    assert not held.records
    assert held.assigned == (0, 1)
    assert values(batches) == [b"a"]


def test_a_member_that_the_group_has_lost_is_a_doubt(new_source: NewSource) -> None:
    source = new_source()
    begun(source)
    read_to_end(source)
    coordinator = source._consumer._coordinator

    # As the client does by itself after a heartbeat that was refused.
    coordinator._generation = coordinator._generation.__class__(-1, "", None)

    with pytest.raises(Doubt, match="no settled member"):
        poll_until(source, lambda _: False)


def test_a_member_that_comes_again_under_its_name_takes_its_place_without_a_rebalance(
    settings: KafkaSettings, new_source: NewSource, new_publisher: Callable[..., KafkaPublisher]
) -> None:
    one, other = new_source(named(settings, "one")), new_source(named(settings, "other"))
    poll_until(one, lambda batch: len(other.poll().assigned) == len(batch.assigned) == 1)
    before = begun(other)
    group = read_to_end(other)[-1].group

    die(other)
    # In a rebalance it would wait for the other member, which is not polled here.
    again = assigned(new_source(named(settings, "other")))

    assert again.assigned == before.assigned
    with pytest.raises(Fenced):
        new_publisher().publish([], [], {before.assigned[0]: Committed(1, "")}, group)


def test_a_member_whose_name_another_one_took_joins_again(settings: KafkaSettings, new_source: NewSource) -> None:
    one, same = new_source(named(settings, "one")), new_source(named(settings, "one"))
    before = assigned(one)
    assigned(same)
    die(same)

    # It finds out by its next heartbeat.
    poll_until(one, lambda batch: batch.generation > before.generation and batch.assigned == before.assigned)


def test_a_member_whose_name_another_one_took_before_a_rebalance_joins_again(
    settings: KafkaSettings, new_source: NewSource
) -> None:
    one, same = new_source(named(settings, "one")), new_source(named(settings, "one"))
    before = assigned(one)
    assigned(same)
    die(same)

    # It finds out by its answer to the rebalance.
    one._consumer._coordinator.request_rejoin()

    poll_until(one, lambda batch: batch.generation > before.generation and batch.assigned == before.assigned)


def test_a_member_with_a_name_leaves_the_group_when_it_is_closed(
    kafka: Topics, settings: KafkaSettings, new_source: NewSource
) -> None:
    source = new_source(named(settings, "one"))
    assigned(source)

    def members() -> int:
        with kafka.admin() as admin:
            return len(admin.describe_groups([settings.group_id])[settings.group_id]["members"])

    assert members() == 1
    source.close()
    assert members() == 0


def named(settings: KafkaSettings, instance: str) -> KafkaSettings:
    return msgspec.structs.replace(settings, instance=instance)


def die(source: KafkaSource) -> None:
    """As a process that is killed: the group is told nothing."""
    source._consumer.close(autocommit=False)


def test_the_metadata_of_a_batch_names_member_and_generation(settings: KafkaSettings, new_source: NewSource) -> None:
    source = new_source()
    begun(source)

    group = read_to_end(source)[-1].group

    assert group.group_id == settings.group_id
    assert group.generation_id >= 0
    assert group.member_id


def test_committed_gives_offset_and_metadata_and_leaves_out_what_has_none(new_source: NewSource) -> None:
    source = new_source()
    begun(source)
    group = read_to_end(source)[-1].group

    source.commit({1: Committed(17, "[1,2]")}, group)

    assert source.committed([0, 1]) == {1: Committed(17, "[1,2]")}


def test_committed_waits_for_a_pending_transaction(
    kafka: Topics, settings: KafkaSettings, new_source: NewSource, unique_name: Callable[[str], str]
) -> None:
    source = new_source()
    with transactional(kafka, unique_name("other")) as producer, ThreadPoolExecutor(1) as thread:
        begin_with_positions(producer, source)

        answer = thread.submit(source.committed, [0])
        with pytest.raises(TimeoutError):
            answer.result(timeout=0.5)
        producer.commit_transaction()

        assert answer.result(timeout=20) == {0: Committed(5, "m")}


def test_committed_does_not_wait_for_ever(
    kafka: Topics,
    settings: KafkaSettings,
    new_source: NewSource,
    unique_name: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "COMMITTED_TIMEOUT_MS", 300)
    monkeypatch.setattr(module, "PENDING_MS", 100)
    source = new_source()
    with transactional(kafka, unique_name("other")) as producer:
        begin_with_positions(producer, source)

        with pytest.raises(Unavailable, match="committed positions"):
            source.committed([0])

        producer.abort_transaction()


def test_positions_of_a_worker_that_died_are_not_waited_for(
    kafka: Topics, settings: KafkaSettings, new_source: NewSource
) -> None:
    name = worker_name(settings.group_id, "a-service", 0)
    with transactional(kafka, name) as producer:
        member = new_source(msgspec.structs.replace(settings, instance=name))
        begin_with_positions(producer, member)
        member.close()

        source = new_source()
        assigned(source)

        assert source.committed([0, 1]) == {}, "the transaction would time out in a minute"


def test_transactions_that_cannot_be_looked_for_are_left_to_time_out(nobody: KafkaSettings) -> None:
    with capture_logs() as logs:
        assert not end_abandoned(nobody)

    assert ["times out" in one["event"] for one in logs] == [True]


def test_a_worker_that_dies_while_its_positions_are_waited_for_is_not_waited_for(
    kafka: Topics, settings: KafkaSettings, new_source: NewSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = counted_looks(monkeypatch)
    monkeypatch.setattr(module, "PENDING_MS", 100)
    name = worker_name(settings.group_id, "a-service", 0)
    with transactional(kafka, name) as producer, ThreadPoolExecutor(1) as thread:
        member = new_source(msgspec.structs.replace(settings, instance=name))
        begin_with_positions(producer, member)

        answer = thread.submit(new_source().committed, [0])
        assert wait_for(lambda: len(looks) > 2, timeout_s=20)
        assert not answer.done()
        member.close()

        assert answer.result(timeout=20) == {}


@pytest.mark.parametrize(("delivery", "times"), [("exactly-once", 1), ("at-least-once", 0)])
def test_it_is_looked_once_a_generation_for_what_others_left(
    settings: KafkaSettings, new_source: NewSource, monkeypatch: pytest.MonkeyPatch, delivery: str, times: int
) -> None:
    looks = counted_looks(monkeypatch)
    source = new_source(msgspec.structs.replace(settings, delivery=delivery))
    assigned(source)

    source.committed([0, 1])
    source.committed([0, 1])

    assert len(looks) == times


def counted_looks(monkeypatch: pytest.MonkeyPatch) -> list[KafkaSettings]:
    looks: list[KafkaSettings] = []

    def look(settings: KafkaSettings) -> bool:
        looks.append(settings)
        return end_abandoned(settings)

    monkeypatch.setattr(module, "end_abandoned", look)
    return looks


def test_what_a_worker_that_died_left_open_hides_nothing_from_readers(
    kafka: Topics, settings: KafkaSettings, new_source: NewSource
) -> None:
    with transactional(kafka, worker_name(settings.group_id, "a-service", 0)) as producer:
        producer.begin_transaction()
        producer.send(settings.output_topic, key=b"k", value=b"of the dead", partition=0).get(timeout=20)

        source = new_source()
        assigned(source)
        source.committed([0, 1])

        kafka.send(settings.output_topic, [("k", b"of the living")], partition=0)
        assert [record.value for record in published(kafka, settings.output_topic)] == [b"of the living"]


@pytest.mark.parametrize("of", ["member", "another group"])
def test_a_transaction_of_a_member_or_of_another_group_goes_on(
    kafka: Topics, settings: KafkaSettings, new_source: NewSource, of: str
) -> None:
    group_id = settings.group_id if of == "member" else f"{settings.group_id}/another"
    name = worker_name(group_id, "a-service", 0)
    with transactional(kafka, name) as producer:
        producer.begin_transaction()
        producer.send(settings.output_topic, key=b"k", value=b"its own", partition=0).get(timeout=20)

        source = new_source(msgspec.structs.replace(settings, instance=name) if of == "member" else settings)
        assigned(source)
        source.committed([0, 1])

        producer.commit_transaction()
    assert [record.value for record in published(kafka, settings.output_topic)] == [b"its own"]


def test_a_commit_for_another_generation_is_fenced(new_source: NewSource) -> None:
    source = new_source()
    begun(source)
    group = read_to_end(source)[-1].group

    with pytest.raises(Fenced):
        source.commit({0: Committed(1, "")}, group._replace(generation_id=group.generation_id - 1))

    assert source.committed([0]) == {}


def test_times_are_found_as_offsets(kafka: Topics, settings: KafkaSettings, new_source: NewSource) -> None:
    for at in (1000, 2000, 3000):
        kafka.send(settings.input_topic, [(None, b"x")], partition=0, timestamp_ms=at)
    source = new_source()

    assert source.offsets_at([0, 1], 1500) == {0: 1, 1: 0}
    assert source.offsets_at([0, 1], 9000) == {0: 3, 1: 0}
    assert source.offsets_at([0, 1], -1) == {0: 0, 1: 0}
    assert source.spans([0, 1]) == {0: Span(0, 3), 1: Span(0, 0)}
    assert source.partitions() == (0, 1)


def test_a_missing_topic_says_how_to_make_it(
    settings: KafkaSettings, new_source: NewSource, unique_name: Callable[[str], str]
) -> None:
    source = new_source(msgspec.structs.replace(settings, input_topic=unique_name("none")))

    with pytest.raises(WrongInput, match="projector doctor --create-topics"):
        source.partitions()


def test_a_broker_that_is_not_there_is_unavailable_and_leaves_no_thread(nobody: KafkaSettings) -> None:
    before = threading.active_count()

    with pytest.raises(Unavailable, match=nobody.bootstrap_servers):
        KafkaSource(nobody)

    assert threading.active_count() == before
