"""Where what is written is refused, by a topic that lacks replicas, a broker or a Redis whose disk is full: nothing is lost,
the log and the metrics say what is wrong, and it goes on by itself when the cause is gone.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest
from kafka.errors import KafkaError

from tests.end_to_end.promises import assert_end_is_right
from tests.end_to_end.serving import IN_TIME_S, events, logged, metric, service, wait_until, wait_until_read
from tests.generate import demo_events
from tests.services.disk import SmallDisk
from tests.services.kafka import Kafka
from tests.services.process import free_port, listens, wait_for
from tests.services.run import new_home, running
from tests.services.topics import Topics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.end_to_end.pipeline import Pipeline
    from tests.services.process import Process
    from tests.services.redis import RedisServer


@pytest.fixture(scope="module")
def kafka_disk(services_home: Path) -> Iterator[SmallDisk]:
    with running(SmallDisk(new_home(services_home, "disk"), megabytes=64)) as disk:
        yield disk


@pytest.fixture(scope="module")
def lone_kafka(services_home: Path, kafka_disk: SmallDisk) -> Iterator[Kafka]:
    """Two brokers, of which the second is gone: every record should be in both, and is in the first only, on a disk."""
    home = new_home(services_home, "kafka")
    (home / "node-1").mkdir()
    (home / "node-1" / "data").symlink_to(kafka_disk.path)
    with running(Kafka(home, nodes=2, controllers=0)) as kafka:
        kafka.nodes[1].stop()
        assert wait_for(partial(is_alone, kafka), timeout_s=IN_TIME_S)
        yield kafka


def is_alone(kafka: Kafka) -> bool:
    """Whether the first node knows that the second is gone, and sends nobody there any more."""
    try:
        with Topics(f"127.0.0.1:{kafka.ports[0]}").admin() as admin:
            return [broker["is_fenced"] for broker in admin.describe_cluster()["brokers"]] == [False, True]
    except KafkaError:
        return False


@pytest.fixture
def new_lone(new_pipeline: Callable[..., Pipeline], lone_kafka: Kafka) -> Callable[..., Pipeline]:
    address = f"127.0.0.1:{lone_kafka.ports[0]}"
    # A record may be given up no sooner than a request.
    impatient = {"kafka_request_timeout_ms": "2000", "kafka_bootstrap_timeout_ms": "2000"}
    return lambda **settings: new_pipeline(kafka_bootstrap_servers=address, **impatient, **settings)


def test_while_a_topic_lacks_replicas_in_sync_nothing_is_lost_and_then_it_goes_on(
    new_lone: Callable[..., Pipeline],
) -> None:
    port, log = free_port(), [*demo_events(20, seed=34), ("s-1", b"{")]
    pipeline = new_lone(metrics_port=str(port))
    topics = Topics(pipeline.config.kafka_bootstrap_servers)
    output, rejects = pipeline.config.output_topic, pipeline.config.rejects_topic
    with service(pipeline, "impatient") as projector:
        pipeline.feed(log[:50])
        wait_until_read(pipeline, projector, 50)
        for topic, upto in ((output, 100), (rejects, len(log))):
            before = sum(pipeline.committed().values())

            topics.configure(topic, {"min.insync.replicas": "2"})
            pipeline.feed(log[before:upto])
            wait_until(projector, lambda: metric(port, "projector_waiting") == 1)
            assert sum(pipeline.committed().values()) < upto
            topics.configure(topic, {"min.insync.replicas": "1"})

            wait_until_read(pipeline, projector, upto)
            wait_until(projector, lambda: metric(port, "projector_waiting") == 0)
        projector.stop()
    assert "the broker does not take records, tries again" in events(projector)
    said = waits(projector)
    lacks = "takes no records: of partitions {} 1 of 2 replicas are in sync, min.insync.replicas is 2"
    assert said[0].startswith(f"topic {output} {lacks.format([0, 1, 2, 3])}")
    assert said[1].startswith(f"topic {rejects} {lacks.format([0])}")
    pipeline.run()  # Ends that had come due and were not published yet.
    assert_end_is_right(pipeline)


def test_when_the_disk_of_the_broker_is_full_nothing_is_lost_and_then_it_goes_on(
    new_lone: Callable[..., Pipeline], lone_kafka: Kafka, kafka_disk: SmallDisk
) -> None:
    port, log = free_port(), [*demo_events(20, seed=35), ("s-1", b"{")]
    # A call of a transaction that is under way when the broker dies does not come back: then the watchdog acts.
    pipeline = new_lone(metrics_port=str(port), kafka_max_poll_records="3", turn_timeout="10s")
    broker = lone_kafka.nodes[0]
    pipeline.feed(log)
    with service(pipeline, "impatient") as projector:
        pipeline.wait_for(1)

        kafka_disk.fill()
        wait_until(projector, lambda: not broker.is_alive())
        wait_until(projector, lambda: metric(port, "projector_waiting") == 1)
        kafka_disk.free()
        broker.start()
        broker.wait_until(partial(listens, lone_kafka.ports[0]))

        wait_until_read(pipeline, projector, len(log))
        projector.stop()
    pipeline.run()  # Ends that had come due and were not published yet.
    assert_end_is_right(pipeline)


def test_while_the_disk_of_redis_is_full_and_when_it_dies_of_it_nothing_is_lost_and_then_it_goes_on(
    new_pipeline: Callable[..., Pipeline], new_redis: Callable[..., RedisServer], new_disk: Callable[..., SmallDisk]
) -> None:
    port, log, disk = free_port(), list(demo_events(20, seed=36)), new_disk(megabytes=8)
    server = new_redis(data=disk.path)
    pipeline = new_pipeline(redis_url=server.url, metrics_port=str(port))
    with pipeline.started() as projector:
        pipeline.feed(log[:50])
        wait_until_read(pipeline, projector, 50)

        disk.fill()
        pipeline.feed(log[50:100])
        wait_until(projector, lambda: metric(port, "projector_waiting") == 1)
        disk.free()
        wait_until_read(pipeline, projector, 100)

        disk.fill()
        pipeline.feed(log[100:])
        wait_until(projector, lambda: metric(port, "projector_waiting") == 1)
        server.kill()  # What it took since its disk was full is in its memory only.
        disk.free()
        server.start()
        wait_until_read(pipeline, projector, len(log))

        wait_until(projector, lambda: metric(port, "projector_waiting") == 0)
        projector.stop()
    said = waits(projector)[0]
    assert "No space left on device" in said
    assert said.endswith("Make room on its disk, or mend that")
    pipeline.run()  # Ends that had come due and were not published yet.
    assert_end_is_right(pipeline)


def waits(projector: Process) -> list[str]:
    """What it waited for, in order."""
    return [one["why"] for one in logged(projector) if one["event"] == "waits"]
