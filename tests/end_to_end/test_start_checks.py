"""Where state, log and settings do not belong together the service says so, with what to do, and has written nothing."""

# mypy: disable-error-code="no-untyped-call"
# The Kafka client has annotations in part only.

from __future__ import annotations

import uuid
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import redis
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.structs import OffsetAndMetadata

from projector.adapters.redis_check import check_server
from projector.adapters.redis_server import connect
from projector.errors import WrongInput
from projector.life import GENERATION_OFFSETS
from projector.start_checks import check_start
from tests import cli
from tests.end_to_end.pipeline import Pipeline
from tests.end_to_end.promises import assert_end_is_right, assert_revisions_never_go_back
from tests.given import custom, line
from tests.services.process import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tests.services.redis import RedisServer
    from tests.services.topics import Topics

COMPACTED = {"cleanup.policy": "compact"}


class Place:
    """A pipeline of two partitions whose topics, groups and keys all have `tag` in their names."""

    def __init__(self, kafka: Topics, redis_url: str, home: Any) -> None:
        self.kafka, self.tag = kafka, uuid.uuid4().hex
        self.redis: Any = connect(redis_url, clustered=check_server(redis_url).clustered, retries=1)
        self.admin: Any = KafkaAdminClient(bootstrap_servers=kafka.bootstrap)
        self.consumer = KafkaConsumer(bootstrap_servers=kafka.bootstrap, isolation_level="read_uncommitted")
        names = {"kafka_bootstrap_servers": kafka.bootstrap, "redis_url": redis_url}
        names |= {f"{name}_topic": self.name(name) for name in ("input", "output", "rejects")}
        names |= {"group_id": self.name("group"), "namespace": self.name("namespace"), "shards": "2"}
        self.pipeline = Pipeline({f"PROJECTOR_{name.upper()}": value for name, value in names.items()}, home, 2)
        self.pipeline.create_topics()

    def name(self, stem: str) -> str:
        return f"{stem}-{self.tag}"

    def of_namespace(self, rest: str) -> str:
        return f"{self.pipeline.config.namespace}:{rest}"

    def settings(self, **changed: str) -> Mapping[str, str]:
        return {**self.pipeline.settings, **{f"PROJECTOR_{name.upper()}": value for name, value in changed.items()}}

    def feed(self, first: int, count: int = 10) -> None:
        """Events of five sessions, and a record of each partition that is none."""
        events = [custom(f"e-{n}", n, about={"session": {"id": f"s-{n % 5}"}}) for n in range(first, first + count)]
        self.pipeline.feed((event["session"]["id"], line(event)) for event in events)
        for partition in range(2):
            self.kafka.send(self.pipeline.config.input_topic, [(None, b"{")], partition=partition)

    def run(self, **changed: str) -> list[str]:
        """The log of `run --until-end`, which has to succeed."""
        done = cli.projector("run", "--until-end", environment=self.settings(**changed))
        return done.stderr.decode().splitlines()

    def refusal(self, **changed: str) -> str:
        """What `run` says when it refuses to begin; all else stays as it was."""
        before = self.traces()
        done = cli.projector("run", "--until-end", code=2, environment=self.settings(**changed))
        lines = (done.stdout + done.stderr).decode().splitlines()
        assert self.traces() == before
        assert 1 <= len(lines) <= 2
        assert all(one.startswith("projector: ") for one in lines)
        return "\n".join(one.removeprefix("projector: ") for one in lines)

    def traces(self) -> dict[str, Any]:
        """All that may not change: how far topics go, what groups have committed, every key."""
        topics = [one for one in self.consumer.topics() if self.tag in one]
        everywhere = [
            TopicPartition(topic, one) for topic in topics for one in self.consumer.partitions_for_topic(topic)
        ]
        groups = [self.name("group"), self.name("another")]
        keys = {key: self.redis.dump(key) for key in self.redis.scan_iter(f"*{self.tag}*")}
        return {
            "ends": self.consumer.end_offsets(everywhere),
            "groups": self.admin.list_group_offsets(groups),
            "keys": keys,
        }

    def make_input_anew(self, *, partitions: int = 2) -> None:
        topic = self.pipeline.config.input_topic
        self.kafka.delete(topic)
        assert wait_for(lambda: topic not in self.kafka.names(), timeout_s=30)
        self.kafka.create(topic, partitions=partitions)

    def cut(self, up_to: Mapping[int, int]) -> None:
        """As retention does it."""
        topic = self.pipeline.config.input_topic
        self.admin.delete_records({TopicPartition(topic, one): offset for one, offset in up_to.items()})

    def wipe(self) -> None:
        for key in self.redis.scan_iter(f"*{self.tag}*"):
            self.redis.delete(key)

    def close(self) -> None:
        self.consumer.close()
        self.admin.close()
        self.redis.close()


@pytest.fixture(scope="module")
def used(kafka: Topics, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Has run once; whoever changes something puts it back."""
    with closing(Place(kafka, redis_url, tmp_path_factory.mktemp("used"))) as place:
        place.feed(0)
        place.run()
        yield place


@pytest.fixture
def place(kafka: Topics, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Has run once, and is this test's own."""
    with closing(Place(kafka, redis_url, tmp_path_factory.mktemp("place"))) as place:
        place.feed(0)
        place.run()
        yield place


# Settings that do not fit the state.


def test_another_topic_is_refused_in_a_namespace_that_is_in_use(used: Place) -> None:
    used.kafka.create(used.name("elsewhere"), partitions=2)

    said = used.refusal(input_topic=used.name("elsewhere"))

    assert f"was made for topic {used.name('input')}, not {used.name('elsewhere')}; topic id " in said
    assert "\nSet another namespace (it is filled from the log); or topic_generation = 1 if the sessions of" in said


def test_another_group_is_refused_in_a_namespace_that_is_in_use(used: Place) -> None:
    said = used.refusal(group_id=used.name("another"))

    assert f"was made for group {used.name('group')}, not {used.name('another')}.\n" in said
    assert f"or group_id = {used.name('group')} if this service is to go on for that one" in said


def test_another_number_of_shards_is_refused(used: Place) -> None:
    said = used.refusal(shards="3")

    assert "was made for shards 2, not 3.\nSet shards = 2, or 0 for what is recorded" in said


@pytest.mark.parametrize(("what", "ours"), [("format", 2), ("fold", 1)])
def test_state_of_a_newer_version_is_refused(used: Place, what: str, ours: int) -> None:
    with changed(used, "meta", what, "99"):
        said = used.refusal()

    assert f"was written by a newer version of the projector ({what} 99, not {ours}).\nRun that version, or set" in said


def test_doctor_refuses_what_run_refuses_in_the_same_words(used: Place) -> None:
    settings = used.settings(group_id=used.name("another"))
    said = used.refusal(group_id=used.name("another"))

    done = cli.projector("doctor", code=2, environment=settings)

    assert done.stdout.decode().splitlines()[-2:] == [f"wrong   {one}" for one in said.splitlines()]


def test_doctor_finds_nothing_wrong_where_all_fits_and_changes_nothing(used: Place) -> None:
    before = used.traces()

    said = cli.projector("doctor", environment=used.settings()).stdout.decode()
    new = cli.projector("doctor", environment=used.settings(group_id=used.name("another"), namespace=used.name("free")))

    assert f"ok      namespace {used.name('namespace')}: goes on, 2 partitions" in said
    assert f"ok      namespace {used.name('free')}: new" in new.stdout.decode()
    assert used.traces() == before


# A place that is not fit.


def test_a_redis_that_evicts_is_refused_before_anything_is_written_to_it(
    used: Place, new_redis: Callable[..., RedisServer]
) -> None:
    server = new_redis(maxmemory_policy="allkeys-lru")

    assert "maxmemory-policy allkeys-lru: an evicted key is a lost session" in used.refusal(redis_url=server.url)
    with redis.Redis.from_url(server.url) as client:
        assert client.dbsize() == 0


def test_an_output_that_is_not_compacted_or_not_there_is_refused(used: Place) -> None:
    used.kafka.create(used.name("plain"), partitions=2)

    assert "so nothing keeps the newest snapshot of a session" in used.refusal(output_topic=used.name("plain"))
    assert f"there is no topic {used.name('gone')}; make it with" in used.refusal(output_topic=used.name("gone"))


# A log that does not fit the state.


def test_a_stored_position_beyond_the_end_of_the_log_is_refused(used: Place) -> None:
    with changed(used, "{1}:pos", "0", "1000 0"):
        said = used.refusal()

    assert "but was read up to 1000 before: the topic was made anew, or lost its end.\nSet topic_generation = 1" in said


def test_a_committed_position_beyond_the_end_of_the_log_is_refused(used: Place) -> None:
    where = TopicPartition(used.pipeline.config.input_topic, 1)
    at = used.kafka.committed(used.pipeline.config.group_id)[where]
    commit(used, where, OffsetAndMetadata(1000, at.metadata, -1))

    said = used.refusal()

    commit(used, where, at)
    assert "but was read up to 1000 before: the topic was made anew, or lost its end.\nSet topic_generation = 1" in said


def test_a_log_that_was_cut_off_above_what_is_folded_is_refused_or_the_gap_is_counted(place: Place) -> None:
    at = place.pipeline.committed()
    place.feed(10)
    place.cut({0: at[0] + 1})

    said = place.refusal()
    place.run(on_gap="skip")

    assert f"partition 0 begins at offset {at[0] + 1}, but state needs it from {at[0]} on: 1 records are gone." in said
    assert '\nSet on_gap = "skip" to go on without them' in said
    assert [place.pipeline.marks()[one].ledger.skipped for one in range(2)] == [1, 0]
    assert [place.pipeline.marks()[one].ledger.balance() for one in range(2)] == [0, 0]


def test_a_store_that_was_wiped_is_not_filled_from_a_log_that_was_cut(place: Place) -> None:
    place.cut({1: 1})
    place.wipe()

    assert "partition 1 begins at offset 1, but state needs it from 0 on: 1 records are gone." in place.refusal()


def test_a_store_that_was_wiped_is_filled_from_a_whole_log_with_a_warning(place: Place) -> None:
    before = place.pipeline.newest()
    place.wipe()

    advice = cli.projector("doctor", environment=place.settings()).stdout.decode()
    log = place.run()

    assert "advice  Redis has nothing of partitions 0, 1 any more" in advice
    assert sum("the store has nothing of a partition, which is folded again from the log" in one for one in log) == 2
    assert_end_is_right(place.pipeline)
    after = place.pipeline.newest()
    assert {one: at.revision for one, at in after.items()} == {one: at.revision for one, at in before.items()}
    assert sum(mark.ledger.redelivered for mark in place.pipeline.marks().values()) == 12


# A topic that was made anew.


def test_a_topic_that_was_made_anew_is_refused_until_its_generation_is_raised(place: Place) -> None:
    first = place.pipeline.newest()
    place.make_input_anew()
    place.feed(10)

    refused = place.refusal()
    place.run(topic_generation="1")
    back = place.refusal()

    assert f"topic {place.name('input')} was made anew since namespace {place.name('namespace')} in Redis at" in refused
    assert "\nSet topic_generation = 1: sessions stay, revisions go on" in refused
    assert "goes on with generation 1 of its topic, not 0.\nSet topic_generation = 1" in back
    newest = place.pipeline.newest()
    assert newest.keys() == first.keys()
    assert all(b'"eventCount":4' in (message.value or b"") for message in newest.values())
    assert all(message.revision > 2 * GENERATION_OFFSETS for message in newest.values())
    assert_revisions_never_go_back(place.pipeline.published())


def test_positions_of_a_generation_are_told_to_kafka_as_the_topic_has_them(place: Place) -> None:
    ends = place.pipeline.committed()
    place.make_input_anew()
    place.feed(10)

    place.run(topic_generation="1", workers="2")
    place.feed(20)
    place.run(topic_generation="1", delivery="at-least-once")

    assert place.pipeline.committed() == {one: 2 * end for one, end in ends.items()}
    rejected = [int(message.headers["projector.reject.offset"]) for message in place.pipeline.rejected()]
    assert sorted(rejected) == sorted(at for end in ends.values() for at in (end - 1, end - 1, 2 * end - 1))
    assert [mark.ledger.balance() for mark in place.pipeline.marks().values()] == [0, 0]
    assert all(b'"eventCount":6' in (message.value or b"") for message in place.pipeline.newest().values())


def test_a_topic_that_was_made_anew_with_fewer_partitions_cannot_go_on_with_the_state(place: Place) -> None:
    place.make_input_anew(partitions=1)

    said = place.refusal(topic_generation="1")

    assert f"has 1 partitions, namespace {place.name('namespace')} knows 2.\nMake the topic with 2 partitions" in said


def test_a_topic_that_is_made_anew_under_a_running_service_stops_it(place: Place) -> None:
    before = len(place.pipeline.published())
    with place.pipeline.started() as service:
        place.feed(10, count=5)
        place.pipeline.wait_for(before + 5)
        place.make_input_anew()
        for first in range(100, 200, 10):  # More than there was.
            place.feed(first)
        code = service.wait(timeout_s=60)

    assert code == 2
    assert "was made anew" in service.log.read_text()
    assert len(place.pipeline.published()) == before + 5
    with pytest.raises(WrongInput, match="was made anew"):
        check_start(place.pipeline.config)


@contextmanager
def changed(place: Place, key: str, field: str, value: str) -> Iterator[None]:
    """A field of a hash of the namespace has another value."""
    name = place.of_namespace(key)
    before = place.redis.hget(name, field)
    assert before is not None
    place.redis.hset(name, field, value)
    try:
        yield
    finally:
        place.redis.hset(name, field, before)


def commit(place: Place, where: TopicPartition, at: Any) -> None:
    place.admin.alter_group_offsets(place.pipeline.config.group_id, {where: at})
