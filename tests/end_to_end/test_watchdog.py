"""A worker whose turn hangs is noticed within `turn_timeout`, killed and started again; nothing is lost or counted twice.

One that is slow, or waits for what does not answer, is left alone.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.end_to_end.promises import assert_end_is_right, assert_ledger_balances
from tests.end_to_end.serving import (
    IN_TIME_S,
    child_of,
    events,
    hangs,
    is_alive,
    logged,
    metric,
    service,
    wait_until,
    wait_until_left,
    wait_until_read,
)
from tests.end_to_end.test_kill import log_of_rounds
from tests.generate import demo_events
from tests.services.process import free_port, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.end_to_end.pipeline import Pipeline
    from tests.services.kafka import Kafka
    from tests.services.proxy import Proxies
    from tests.services.redis import RedisServer

BOUND_S = 3.0
SLACK_S = 1.0  # The supervisor looks every 50 ms, and asks for half a second where the worker stands.
SETTINGS = {
    "turn_timeout": f"{BOUND_S:.0f}s",
    "group_session_timeout": "1500ms",  # How long the partitions of the killed worker wait.
    "partitions": 2,
    "shards": "2",
}


# ---- calls that never return --------------------------------------------------------------------------------------


def test_a_worker_that_hangs_in_any_call_is_killed_in_time_and_loses_and_repeats_nothing(
    new_pipeline: Callable[..., Pipeline],
) -> None:
    steps = ("poll", "commit")
    pipeline = new_pipeline(**SETTINGS, kafka_max_poll_records="40")
    pipeline.feed(log_of_rounds())
    (pipeline.home / "marks").mkdir()
    hanging = {"STEPS": ",".join(steps), "COUNTS": "2,2", "KILLS": "nobody", "MARKS": str(pipeline.home / "marks")}

    environment = {f"MORTAL_{name}": value for name, value in hanging.items()}
    with service(pipeline, "mortal", "--until-end", **environment) as projector:
        assert projector.wait(timeout_s=IN_TIME_S) == 0
        found = hangs(projector)

    assert len(found) == len(steps)
    assert all(BOUND_S <= one["silent_s"] < BOUND_S + SLACK_S for one in found)
    # It says where: in a wait, called from the step.
    assert all("threading.py" in one["at"][0] and any("mortal.py" in line for line in one["at"]) for one in found)
    assert_end_is_right(pipeline)


def test_a_worker_that_hangs_goes_when_its_supervisor_is_gone(new_pipeline: Callable[..., Pipeline]) -> None:
    pipeline = new_pipeline(**SETTINGS)
    pipeline.feed(log_of_rounds())
    marks = pipeline.home / "marks"
    marks.mkdir()
    hanging = {"MORTAL_STEPS": "commit", "MORTAL_COUNTS": "1", "MORTAL_KILLS": "nobody", "MORTAL_MARKS": str(marks)}
    with service(pipeline, "mortal", **hanging) as projector:
        wait_until(projector, (marks / "0").exists)
        worker = child_of(projector)

        projector.kill()

        assert is_alive(worker)
        assert wait_for(lambda: not is_alive(worker), timeout_s=BOUND_S + 2 * SLACK_S)


def test_a_worker_that_stands_still_is_killed_in_time_and_loses_and_repeats_nothing(
    new_pipeline: Callable[..., Pipeline],
) -> None:
    pipeline, log = new_pipeline(**SETTINGS), list(demo_events(20, seed=8))
    pipeline.feed(log[: len(log) // 2])
    with pipeline.started() as projector:
        pipeline.wait_for(1)
        worker = child_of(projector)

        os.kill(worker, signal.SIGSTOP)
        pipeline.feed(log[len(log) // 2 :])

        assert wait_for(lambda: bool(hangs(projector)), timeout_s=BOUND_S + 2 * SLACK_S)
        assert wait_for(lambda: not is_alive(worker), timeout_s=SLACK_S)
        projector.stop()
    pipeline.run()
    assert_end_is_right(pipeline)


def test_a_worker_that_is_slow_but_goes_on_is_left_alone(
    new_pipeline: Callable[..., Pipeline], own_redis: str, proxies: Proxies
) -> None:
    slow = proxies.new("redis", place_of(own_redis))
    pipeline = new_pipeline(**{**SETTINGS, "shards": "4"}, redis_url=own_redis)
    pipeline.feed(demo_events(30, seed=9))
    slow.delay(120)

    # A turn asks each of four shards at least three times, 240 ms each, and connects: more than the bound in all.
    with service(pipeline, "apart", "--until-end", PROJECTOR_REDIS_URL=f"redis://{slow.address}/0") as projector:
        assert projector.wait(timeout_s=IN_TIME_S) == 0

        assert hangs(projector) == []

    assert assert_ledger_balances(pipeline, assert_end_is_right(pipeline)).redelivered == 0


def test_a_worker_that_is_started_again_while_redis_is_gone_waits_and_goes_on_when_it_is_back(
    new_pipeline: Callable[..., Pipeline], new_redis: Callable[..., RedisServer]
) -> None:
    server, port, log = new_redis(), free_port(), list(demo_events(20, seed=10))
    pipeline = new_pipeline(redis_url=server.url, metrics_port=str(port))
    with pipeline.started() as projector:
        pipeline.feed(log[:50])
        wait_until_read(pipeline, projector, 50)

        server.kill()
        os.kill(child_of(projector), signal.SIGKILL)
        wait_until(projector, lambda: metric(port, "projector_worker_starts") == 2)
        wait_until(projector, lambda: metric(port, "projector_waiting") == 1)
        pipeline.feed(log[50:])
        server.start()

        wait_until_read(pipeline, projector, len(log))
        projector.stop()
    assert events(projector).count("a worker died and is started again") == 1
    pipeline.run()
    assert_end_is_right(pipeline)


# ---- black holes --------------------------------------------------------------------------------------------------


@pytest.fixture
def own_redis(new_redis: Callable[..., RedisServer]) -> str:
    """A single server, for a proxy to stand before it: whatever the other tests of this run have."""
    return new_redis().url


@pytest.fixture
def behind(proxied_kafka: Kafka, own_redis: str, new_pipeline: Callable[..., Pipeline]) -> Pipeline:
    """On the broker that proxies stand before; the tests themselves go there straight."""
    return new_pipeline(**SETTINGS, kafka_bootstrap_servers=proxied_kafka.bootstrap, redis_url=own_redis)


def test_a_consumer_whose_broker_never_answers_waits_and_goes_on_when_it_does(
    behind: Pipeline, proxied_kafka: Kafka, proxies: Proxies
) -> None:
    (proxy,) = proxies.before(proxied_kafka)
    log = list(demo_events(20, seed=11))
    with service(behind, "apart", APART_READER=proxy.address) as projector:
        behind.feed(log[:50])
        wait_until_read(behind, projector, 50)

        proxy.black_hole()
        behind.feed(log[50:])
        wait_until_left(behind)

        proxy.heal()
        wait_until_read(behind, projector, len(log))
        projector.stop()
    assert_end_is_right(behind)


def test_a_redis_and_then_a_producer_s_broker_that_never_answer_are_left_and_the_worker_goes_on_when_they_do(
    behind: Pipeline, proxied_kafka: Kafka, own_redis: str, proxies: Proxies
) -> None:
    redis, (broker,) = proxies.new("redis", place_of(own_redis)), proxies.before(proxied_kafka)
    log = list(demo_events(20, seed=12))
    own = {"PROJECTOR_REDIS_URL": f"redis://{redis.address}/0", "APART_WRITER": broker.address}
    own["PROJECTOR_REDIS_SOCKET_TIMEOUT"] = "0.4"  # A question that is asked four times is done before the watchdog is.
    with service(behind, "apart", **own) as projector:
        behind.feed(log[:50])
        wait_until_read(behind, projector, 50)
        for number, proxy in enumerate((redis, broker), start=1):
            before = len(logged(projector))
            proxy.black_hole()
            behind.feed(log[50 * number : 50 * number + 50])

            # Redis by its own time-out; the producer's broker by the watchdog.
            assert wait_for(lambda: len(logged(projector)) > before, timeout_s=BOUND_S + 2 * SLACK_S)  # noqa: B023
            proxy.heal()
            wait_until_read(behind, projector, 50 * number + 50)
        assert "kafka/producer" in str(hangs(projector)[0]["at"])
        projector.stop()
    assert_end_is_right(behind)


def place_of(url: str) -> str:
    """Host and port."""
    return urlsplit(url).netloc
