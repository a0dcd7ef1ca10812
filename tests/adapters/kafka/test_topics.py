from collections.abc import Callable

import msgspec
import pytest

from projector.adapters.kafka import Cluster, KafkaSettings, KafkaTopics, Topic, advice
from projector.errors import Unavailable, WrongInput
from tests.services.topics import Topics


@pytest.fixture
def missing(kafka: Topics, unique_name: Callable[[str], str]) -> KafkaSettings:
    """Settings whose topics do not exist."""
    return KafkaSettings(
        bootstrap_servers=kafka.bootstrap,
        input_topic=unique_name("in"),
        output_topic=unique_name("out"),
        rejects_topic=unique_name("rejects"),
    )


def test_missing_topics_are_made_as_the_contract_has_them(missing: KafkaSettings) -> None:
    with KafkaTopics(missing) as topics:
        made = topics.create(input_partitions=3)
        cluster = topics.check()

    assert made == [missing.input_topic, missing.output_topic, missing.rejects_topic]
    assert cluster.input is not None
    assert cluster.output is not None
    assert cluster.rejects is not None
    assert [topic.partitions for topic in (cluster.input, cluster.output, cluster.rejects)] == [3, 3, 1]
    assert set(cluster.output.settings["cleanup.policy"].split(",")) == {"compact", "delete"}
    assert cluster.output.settings["retention.ms"] == str(30 * 86_400_000)
    assert cluster.rejects.settings["cleanup.policy"] == "delete"
    assert cluster.rejects.settings["retention.ms"] == str(30 * 86_400_000)
    assert cluster.id
    assert len({cluster.input.id, cluster.output.id, cluster.rejects.id} - {""}) == 3


def test_topics_that_are_there_are_left_alone_and_give_the_partitions(kafka: Topics, missing: KafkaSettings) -> None:
    kafka.create(missing.input_topic, partitions=5)

    with KafkaTopics(missing) as topics:
        made = topics.create(input_partitions=3)
        again = topics.create()
        cluster = topics.cluster()

    assert made == [missing.output_topic, missing.rejects_topic]
    assert again == []
    assert cluster.input is not None
    assert cluster.output is not None
    assert (cluster.input.partitions, cluster.output.partitions) == (5, 5)


def test_every_missing_topic_is_named_at_once(missing: KafkaSettings) -> None:
    with KafkaTopics(missing) as topics, pytest.raises(WrongInput) as raised:
        topics.check()

    lines = str(raised.value).splitlines()
    assert len(lines) == 3
    for line, name in zip(lines, (missing.input_topic, missing.output_topic, missing.rejects_topic), strict=True):
        assert name in line
        assert "projector doctor --create-topics" in line


def test_an_output_that_is_not_compacted_is_told(
    kafka: Topics, settings: KafkaSettings, unique_name: Callable[[str], str]
) -> None:
    plain = kafka.create(unique_name("plain"))

    with (
        KafkaTopics(msgspec.structs.replace(settings, output_topic=plain)) as topics,
        pytest.raises(WrongInput, match=rf"{plain} .*compact"),
    ):
        topics.check()


def test_one_topic_for_two_purposes_is_told(settings: KafkaSettings) -> None:
    with (
        KafkaTopics(msgspec.structs.replace(settings, rejects_topic=settings.output_topic)) as topics,
        pytest.raises(WrongInput, match="three topics"),
    ):
        topics.check()


@pytest.mark.parametrize(
    ("in_sync", "lacking"),
    [
        ({0: (2, 3), 1: (1, 3), 2: (3, 3)}, "of partitions [1] 1 of 3 replicas are in sync, min.insync.replicas is 2"),
        ({0: (2, 3)}, None),
        ({0: (1, 1)}, None),  # Never more than there are is asked for.
    ],
)
def test_a_topic_that_lacks_replicas_in_sync_is_told_by_its_partitions(
    in_sync: dict[int, tuple[int, int]], lacking: str | None
) -> None:
    topic = Topic("out", "", len(in_sync), (), in_sync, {"min.insync.replicas": "2"})

    told = advice(KafkaSettings(), Cluster("", None, topic, None))

    assert [line.partition(": ")[2].partition("\n")[0] for line in told] == ([lacking] if lacking else [])


def test_a_topic_that_was_made_again_has_another_id(kafka: Topics, settings: KafkaSettings) -> None:
    with KafkaTopics(settings) as topics:
        before = topics.cluster()
        kafka.delete(settings.input_topic)
        topics.create()
        after = topics.cluster()

    assert before.input is not None
    assert after.input is not None
    assert before.id == after.id
    assert before.input.id != after.input.id


def test_a_broker_that_is_not_there_is_unavailable(nobody: KafkaSettings) -> None:
    with pytest.raises(Unavailable, match=nobody.bootstrap_servers):
        KafkaTopics(nobody)
