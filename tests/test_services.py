"""The tools that other tests break things with do what they say."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
import redis
from kafka import KafkaProducer
from kafka.errors import KafkaError

from tests.services.kafka import Kafka
from tests.services.process import Process, ServiceError, is_recorded_alive, stop_recorded, wait_for
from tests.services.run import Run, new_home
from tests.services.topics import Topics

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.services.proxy import Proxies, Proxy
    from tests.services.redis import RedisServer
    from tests.services.redis_groups import RedisCluster, RedisSentinel


def test_a_killed_broker_comes_back_where_it_was_with_the_records_it_had(
    breakable_kafka: Kafka, unique_name: Callable[[str], str]
) -> None:
    topics, topic = Topics(breakable_kafka.bootstrap), unique_name("kept")
    topics.create(topic, partitions=2)
    topics.send(topic, [(f"key-{number}", b"value") for number in range(100)])

    breakable_kafka.kill()
    breakable_kafka.start()

    assert {record.key for record in topics.read(topic)} == {b"key-%d" % number for number in range(100)}


def test_the_shared_broker_makes_no_topic_by_itself(kafka: Topics, unique_name: Callable[[str], str]) -> None:
    topic = unique_name("never-made")

    with pytest.raises(AssertionError, match="there is no topic"):
        kafka.read(topic)

    assert topic not in kafka.names()


def test_a_redis_that_is_rolled_back_has_lost_what_was_written_since(new_redis: Callable[..., RedisServer]) -> None:
    server = new_redis(append_fsync="always")
    with redis.Redis.from_url(server.url) as client:
        client.set("name", "old")
        server.keep_copy("before")
        client.set("name", "new")

        server.roll_back("before")

        assert client.get("name") == b"old"


def test_a_redis_that_is_cut_back_has_lost_what_was_written_since_and_goes_on(
    new_redis: Callable[..., RedisServer],
) -> None:
    server = new_redis(append_fsync="always")
    with redis.Redis.from_url(server.url) as client:
        client.set("name", "old")
        written = server.written()
        client.set("name", "new")

        server.cut_back(written + 5)

        assert client.get("name") == b"old"
        client.set("name", "newer")
        server.kill()
        server.start()
        assert client.get("name") == b"newer"


def test_a_killed_redis_keeps_what_it_had_answered_for(new_redis: Callable[..., RedisServer]) -> None:
    server = new_redis(append_fsync="always", password="a secret of its own")
    with redis.Redis.from_url(server.url) as client:
        client.set("name", "kept")

        server.kill()
        server.start()

        assert client.get("name") == b"kept"
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


def test_a_redis_cluster_takes_keys_of_every_slot(redis_cluster: RedisCluster) -> None:
    names = [f"{{{number}}}" for number in range(100)]
    with redis.RedisCluster.from_url(redis_cluster.url) as client:
        for name in names:
            client.set(name, name)

        assert [client.get(name) for name in names] == [name.encode() for name in names]


def test_a_sentinel_puts_the_replica_in_the_place_of_a_master_that_is_killed(redis_sentinel: RedisSentinel) -> None:
    assert redis_sentinel.master_port() == redis_sentinel.master.port

    redis_sentinel.master.kill()

    assert wait_for(lambda: redis_sentinel.master_port() == redis_sentinel.replica.port, timeout_s=30)


def test_connections_through_a_proxy_are_cut_refused_delayed_and_swallowed(
    proxies: Proxies, new_redis: Callable[..., RedisServer]
) -> None:
    server = new_redis()
    proxy = proxies.new("redis", f"127.0.0.1:{server.port}")
    with connected(proxy) as told:
        assert answer(told) == b"+PONG\r\n"
        proxy.cut()
        assert told.recv(100) == b""
    with connected(proxy) as told:
        proxy.delay(100)
        began = time.monotonic()
        assert answer(told) == b"+PONG\r\n"
        assert time.monotonic() - began > 0.2
        proxy.heal()
        proxy.black_hole()
        told.settimeout(0.3)
        with pytest.raises(TimeoutError):
            answer(told)
    proxy.down()
    with pytest.raises(ConnectionRefusedError):
        connected(proxy)
    proxy.heal()
    with connected(proxy) as told:
        assert answer(told) == b"+PONG\r\n"


def connected(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=10)


def answer(told: socket.socket) -> bytes:
    told.sendall(b"PING\r\n")
    return told.recv(100)


def test_a_broker_is_used_through_its_proxy_alone(proxies: Proxies, services_home: Path) -> None:
    kafka = Kafka(new_home(services_home, "kafka"), proxied=1)
    try:
        kafka.start()
        (proxy,) = proxies.before(kafka)
        topics = Topics(proxy.address)
        topics.create("through")
        topics.send("through", [("key", b"value")])
        proxy.down()

        with pytest.raises(KafkaError):
            KafkaProducer(bootstrap_servers=proxy.address, bootstrap_timeout_ms=500)
        assert [record.value for record in Topics(kafka.bootstrap).read("through")] == [b"value"]
    finally:
        kafka.kill()


def test_a_process_is_stopped_by_its_pid_file_whoever_started_it(tmp_path: Path) -> None:
    process = Process("waits", [sys.executable, "-c", _WAITS], tmp_path)
    process.start()
    process.pause()

    assert is_recorded_alive(process.pid_file)
    assert stop_recorded(process.pid_file)
    assert process.wait() == -signal.SIGTERM
    assert not is_recorded_alive(process.pid_file)


def test_a_pid_that_belongs_to_somebody_else_by_now_is_left_alone(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", _WAITS]) as other:
        (tmp_path / "gone.pid").write_text(str(other.pid))

        assert not stop_recorded(tmp_path / "gone.pid")
        assert other.poll() is None
        other.kill()


def test_a_service_that_cannot_start_says_why_in_one_line(tmp_path: Path) -> None:
    process = Process("fails", [sys.executable, "-c", "raise SystemExit('the port is taken')"], tmp_path)
    process.start()

    with pytest.raises(ServiceError, match=r"fails ended while it was starting: the port is taken \(see .*fails.log\)"):
        process.wait_until(lambda: False)


def test_services_that_the_environment_names_are_used_and_not_started() -> None:
    run = Run({"PROJECTOR_KAFKA_BOOTSTRAP_SERVERS": "kafka.example:9092", "PROJECTOR_REDIS_URL": "redis://example/0"})

    assert (run.kafka_bootstrap, run.redis_url) == ("kafka.example:9092", "redis://example/0")
    run.close()


@pytest.mark.services
def test_what_a_run_that_was_killed_has_left_ends_when_the_next_begins() -> None:
    """The killed run is a process of its own; its Redis outlives it, and the next run's first act is to end that."""
    told = subprocess.run([sys.executable, "-c", _KILLED_RUN], check=False, capture_output=True, text=True)
    assert told.returncode == -signal.SIGKILL, told.stderr
    with redis.Redis.from_url(told.stdout.strip()) as client:
        assert client.ping()

        Run({}).close()

        with pytest.raises(redis.ConnectionError):
            client.ping()


_WAITS = "import signal; signal.pause()"
_KILLED_RUN = """
import os, signal
from tests.services.run import Run
print(Run({}).redis_url, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
