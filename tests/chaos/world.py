"""What a run stands on: a broker and a Redis that can be broken, with proxies before them, topics, and the services.

Law: services go through proxies, each through its own to the broker and to Redis; load and checks go past them.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import redis

from tests.chaos.workers import Fleet, Service
from tests.end_to_end.pipeline import Pipeline
from tests.services.kafka import Kafka
from tests.services.proxy import Proxy, proxies
from tests.services.redis import RedisServer
from tests.services.run import new_home

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PARTITIONS = 6
SESSION_TIMEOUT_S = 6
TIMEOUT_S = 14
"""Of sessions: short, so that they end, and come back, in the middle of it all."""


@dataclass
class World:
    home: Path
    kafka: Kafka
    redis: RedisServer
    kafka_proxies: list[Proxy]
    redis_proxies: list[Proxy]
    """One for each service, or none at all."""
    pipeline: Pipeline
    fleet: Fleet
    history: History
    timeout_s: int

    @property
    def services(self) -> list[Service]:
        return self.fleet.services


class History:
    """How long the append-only file of Redis was at each moment of the last minute, so that it can be cut back."""

    EVERY_S, KEPT_S = 0.25, 60.0

    def __init__(self, server: RedisServer) -> None:
        self._server = server
        self._lengths = deque[tuple[float, int]](maxlen=int(self.KEPT_S / self.EVERY_S))
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._note, name="history", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def forget(self) -> None:
        """The file was cut: what was noted is of another past."""
        self._lengths.clear()

    def length_before(self, seconds: float) -> int:
        """Bytes so many seconds ago, as far as is known; at least what was there when it was last cut."""
        at = time.monotonic() - seconds
        noted = list(self._lengths)
        return max((length for when, length in noted if when <= at), default=min(length for _, length in noted))

    def _note(self) -> None:
        while not self._stopping.wait(self.EVERY_S):
            self._lengths.append((time.monotonic(), self._server.written()))


@contextmanager
def world(home: Path, *, workers: int, delivery: str) -> Iterator[World]:
    """A world with everything of its own, services not started yet."""
    kafka = Kafka(new_home(home, "kafka"), proxied=workers, controllers=0)
    server = RedisServer(new_home(home, "redis"))
    with proxies(new_home(home, "proxies")) as make:
        try:
            kafka.start()
            server.start()
            before_kafka = [proxy for number in range(workers) for proxy in make.before(kafka, number)]
            before_redis = [make.new(f"redis-{number}", f"127.0.0.1:{server.port}") for number in range(workers)]
            pipeline = _pipeline(home, kafka, server, TIMEOUT_S, delivery)
            with _on(pipeline, kafka, server, before_kafka, before_redis, workers=workers, timeout_s=TIMEOUT_S) as made:
                yield made
        finally:
            server.kill()
            kafka.kill()


@contextmanager
def world_on(
    home: Path, kafka: Kafka, server: RedisServer, *, workers: int, timeout_s: int, delivery: str
) -> Iterator[World]:
    """The same on servers that run already, without proxies."""
    pipeline = _pipeline(home, kafka, server, timeout_s, delivery)
    with _on(pipeline, kafka, server, [], [], workers=workers, timeout_s=timeout_s) as made:
        yield made


@contextmanager
def _on(
    pipeline: Pipeline,
    kafka: Kafka,
    server: RedisServer,
    kafka_proxies: list[Proxy],
    redis_proxies: list[Proxy],
    *,
    workers: int,
    timeout_s: int,
) -> Iterator[World]:
    home, services = pipeline.home, []
    for number in range(workers):
        own = {}
        if kafka_proxies:
            own["PROJECTOR_KAFKA_BOOTSTRAP_SERVERS"] = kafka_proxies[number].address
            own["PROJECTOR_REDIS_URL"] = f"redis://{redis_proxies[number].address}/0"
        services.append(Service(number, home, {**pipeline.settings, **own}))
    history, fleet = History(server), Fleet(services)
    with ExitStack() as ends:
        history.start()
        ends.callback(history.stop)
        ends.callback(fleet.close)
        yield World(home, kafka, server, kafka_proxies, redis_proxies, pipeline, fleet, history, timeout_s)


def _pipeline(home: Path, kafka: Kafka, server: RedisServer, timeout_s: int, delivery: str) -> Pipeline:
    name = f"chaos-{home.name}"
    settings = {
        "kafka_bootstrap_servers": kafka.bootstrap,
        "redis_url": server.url,
        "input_topic": f"{name}-in",
        "output_topic": f"{name}-out",
        "rejects_topic": f"{name}-rejects",
        "group_id": name,
        "group_session_timeout": f"{SESSION_TIMEOUT_S}s",
        "timeout_web": f"{timeout_s}s",
        "timeout_app": f"{timeout_s}s",
        "delivery": delivery,
        "log_format": "json",
    }
    pipeline = Pipeline({f"PROJECTOR_{key.upper()}": value for key, value in settings.items()}, home, PARTITIONS)
    pipeline.create_topics()
    return pipeline


def flush(server: RedisServer) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
