"""Where Redis is full or slow, the broker stands still, a topic is gone, or something is too large: nothing is lost,
the log and the metrics say what is wrong, and it goes on by itself when the cause is gone.
"""

from __future__ import annotations

import json
from contextlib import closing
from random import Random
from typing import TYPE_CHECKING, Any

from kafka import KafkaProducer
from redis import Redis

from projector.decode import VALUE_BYTES_MAX
from tests.end_to_end.promises import (
    assert_end_is_right,
    assert_ledger_balances,
    assert_redis_holds_what_is_published,
    assert_snapshots_are,
)
from tests.end_to_end.serving import child_of, events, logged, memory_mb, metric, wait_until, wait_until_read
from tests.generate import demo_events
from tests.given import line, web
from tests.limits import BESIDES_MB
from tests.services.process import free_port
from tests.services.topics import Topics

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.end_to_end.pipeline import Pipeline
    from tests.services.kafka import Kafka
    from tests.services.redis import RedisServer


def test_while_redis_is_full_or_stands_still_nothing_is_lost_and_then_it_goes_on(
    new_pipeline: Callable[..., Pipeline], new_redis: Callable[..., RedisServer]
) -> None:
    server, port, log = new_redis(), free_port(), list(demo_events(20, seed=31))
    pipeline = new_pipeline(redis_url=server.url, metrics_port=str(port), redis_socket_timeout="0.5")
    with pipeline.started() as projector, closing(Redis.from_url(server.url)) as redis:
        pipeline.feed(log[:50])
        wait_until_read(pipeline, projector, 50)

        redis.config_set("maxmemory", 1)
        pipeline.feed(log[50:100])
        wait_until(projector, lambda: metric(port, "projector_waiting") == 1)
        assert pipeline.committed() == read_so_far(pipeline, 50)
        redis.config_set("maxmemory", 0)
        wait_until_read(pipeline, projector, 100)

        redis.client_pause(3000)  # Longer than an answer is waited for.
        pipeline.feed(log[100:])
        wait_until_read(pipeline, projector, len(log))

        wait_until(projector, lambda: metric(port, "projector_waiting") == 0)
        (full,) = (one["why"] for one in logged(projector) if one["event"] == "waits" and "maxmemory" in one["why"])
        assert full.endswith("Raise maxmemory, or set a shorter retention")
        assert {"goes on", "begins a new life"} & set(events(projector)[-4:])
        projector.stop()
    pipeline.run()  # Ends that had come due and were not published yet.
    assert_end_is_right(pipeline)


def read_so_far(pipeline: Pipeline, count: int) -> dict[int, int]:
    committed = pipeline.committed()
    assert sum(committed.values()) == count
    return committed


def test_while_the_broker_stands_still_nothing_is_lost_and_then_it_goes_on(
    new_pipeline: Callable[..., Pipeline], breakable_kafka: Kafka
) -> None:
    port, log = free_port(), list(demo_events(20, seed=32))
    pipeline = new_pipeline(
        kafka_bootstrap_servers=breakable_kafka.bootstrap, metrics_port=str(port), kafka_max_poll_records="3"
    )
    pipeline.feed(log)
    with pipeline.started() as projector:
        pipeline.wait_for(1)

        breakable_kafka.nodes[0].pause()
        # It was in the middle of its records, and now a call does not come back.
        wait_until(projector, lambda: (metric(port, "projector_call_seconds") or 0) > 2)
        breakable_kafka.nodes[0].resume()

        wait_until_read(pipeline, projector, len(log))
        projector.stop()
    pipeline.run()  # Ends that had come due and were not published yet.
    assert_end_is_right(pipeline)


def test_while_a_topic_is_gone_it_says_so_and_goes_on_when_it_is_there_again(
    new_pipeline: Callable[..., Pipeline], kafka: Topics
) -> None:
    port, log = free_port(), list(demo_events(10, seed=33))
    pipeline = new_pipeline(metrics_port=str(port), kafka_max_block_ms="1000")
    rejects = pipeline.config.rejects_topic
    with pipeline.started() as projector:
        pipeline.feed(log)
        wait_until_read(pipeline, projector, len(log))

        kafka.delete(rejects)
        pipeline.feed([("s-1", b"{")])
        wait_until(projector, lambda: metric(port, "projector_waiting") == 1)
        assert sum(pipeline.committed().values()) == len(log)
        kafka.create(rejects)

        wait_until_read(pipeline, projector, len(log) + 1)
        projector.stop()
    last = [one["why"] for one in logged(projector) if one["event"] == "waits"][-1]
    assert rejects in last
    assert last.endswith("make it with: projector doctor --create-topics (and the options given here)")
    assert [reject.value for reject in pipeline.rejected()] == [b"{"]
    assert_ledger_balances(pipeline, pipeline.expected())


def test_a_snapshot_that_its_topic_does_not_take_comes_without_its_largest_members_and_stays_whole_in_redis(
    pipeline: Pipeline, kafka: Topics
) -> None:
    output = pipeline.config.output_topic
    kafka.configure(output, {"max.message.bytes": "4000"})
    dice = Random(1)
    noise = {f"n{i}": dice.randbytes(250).hex() for i in range(20)}
    pipeline.feed(
        [("s-1", line(web("e-1", attributes=noise))), ("s-2", line(web("e-2", about={"session": {"id": "s-2"}})))]
    )

    said = pipeline.run().stderr.decode()
    small = pipeline.newest()
    whole_in_redis = pipeline.stored()
    kafka.configure(output, {"max.message.bytes": "8388608"})
    pipeline.feed([("s-1", line(web("e-3", 1000)))])
    pipeline.run()

    assert small["s-1"].headers["projector.left-out"] == "attributes"
    assert "attributes" not in json.loads(small["s-1"].value or b"")
    assert "projector.left-out" not in small["s-2"].headers
    assert len(json.loads(whole_in_redis["s-1"])["attributes"]) == len(noise)
    assert "set max.message.bytes=8388608" in said
    assert '"without":["attributes"]' in said
    assert_redis_holds_what_is_published(pipeline)
    assert_ledger_balances(pipeline, pipeline.expected())


def test_events_of_a_mebibyte_are_folded_in_bounded_memory_and_larger_ones_rejected(
    new_pipeline: Callable[..., Pipeline], kafka: Topics
) -> None:
    pipeline = new_pipeline(cache_mb_max="64")
    kafka.configure(pipeline.config.input_topic, {"max.message.bytes": str(2 * VALUE_BYTES_MAX)})
    large = [padded(event(number), VALUE_BYTES_MAX) for number in range(120)]
    send(kafka, pipeline.config.input_topic, [*large, padded(event(999), VALUE_BYTES_MAX + 1)])

    with pipeline.started() as projector:
        wait_until_read(pipeline, projector, len(large) + 1)
        peak = memory_mb(child_of(projector))
        projector.stop()

    expected, (reject,) = pipeline.expected(), pipeline.rejected()
    assert_snapshots_are(pipeline.published(), expected)
    assert_ledger_balances(pipeline, expected)
    assert_redis_holds_what_is_published(pipeline)
    assert reject.headers["projector.reject.reason"] == "too-large"
    assert reject.headers["projector.reject.truncated"] == str(VALUE_BYTES_MAX + 1)
    assert peak < 64 + BESIDES_MB


def event(number: int) -> dict[str, Any]:
    """Of one of eight sessions; half of what it holds is kept."""
    attributes = {f"a{i}": f"{number}" * 2000 for i in range(60)}
    return web(f"e-{number}", number * 1000, about={"session": {"id": f"s-{number % 8}"}}, attributes=attributes)


def padded(told: dict[str, Any], size: int) -> bytes:
    """With a member that nobody reads, so that it has exactly so many bytes."""
    bare = len(line(told | {"unread": ""}))
    return line(told | {"unread": "x" * (size - bare)})


def send(kafka: Topics, topic: str, values: list[bytes]) -> None:
    with closing(KafkaProducer(bootstrap_servers=kafka.bootstrap, max_request_size=2 * VALUE_BYTES_MAX)) as producer:
        sent = [producer.send(topic, value=value, key=json.loads(value)["session"]["id"].encode()) for value in values]
        for future in sent:
            future.get(timeout=60)
