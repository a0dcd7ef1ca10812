"""The services of one test run: one broker and one Redis that all its tests share, and a folder for those that do not.

Law: services named by the environment go first, and what a run has started ends with it, at the latest when the next
run begins.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TypeVar

from tests.services import machine
from tests.services.kafka import Kafka
from tests.services.process import ServiceError, is_recorded_alive, stop_recorded
from tests.services.redis import RedisServer
from tests.services.redis_groups import RedisCluster, RedisSentinel

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

RUNS = machine.WORK / "tests"
KAFKA_VARIABLE = "PROJECTOR_KAFKA_BOOTSTRAP_SERVERS"
REDIS_VARIABLE = "PROJECTOR_REDIS_URL"
STORE_VARIABLE = "PROJECTOR_TEST_STORE"
STORES = {"single": RedisServer, "cluster": RedisCluster, "sentinel": RedisSentinel}
"""What the shared Redis can be; a single server if nothing is said."""
DELIVERY_VARIABLE = "PROJECTOR_TEST_DELIVERY"
"""How the pipelines of the end-to-end suite deliver where a test does not say."""
_OWNER = "owner.pid"


class Service(Protocol):
    def start(self) -> None: ...
    def kill(self) -> None: ...


S = TypeVar("S", bound=Service)


@contextmanager
def running(service: S) -> Iterator[S]:
    """Starts a service, and ends it whatever becomes of it, also of its start."""
    try:
        service.start()
        yield service
    finally:
        service.kill()


class Run:
    """Starts a service when it is first asked for; owned by one process, which ends it by `close`."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self.home = RUNS / uuid.uuid4().hex[:12]
        with _one_at_a_time():
            _sweep()
            self.home.mkdir()
            # Locked until this process ends, however it ends.
            self._owner = (self.home / _OWNER).open("w")
            fcntl.flock(self._owner, fcntl.LOCK_EX)
        self._kafka_bootstrap = given.get(KAFKA_VARIABLE)
        self._redis_url = given.get(REDIS_VARIABLE)
        self._kafka: Kafka | None = None
        self.delivery = given.get(DELIVERY_VARIABLE, "exactly-once")
        self._store = given.get(STORE_VARIABLE, "single")
        self._redis: RedisServer | RedisCluster | RedisSentinel | None = None

    @property
    def kafka_bootstrap(self) -> str:
        if self._kafka_bootstrap is None:
            self._kafka = Kafka(self.home / "kafka")
            self._kafka.start()
            self._kafka_bootstrap = self._kafka.bootstrap
        return self._kafka_bootstrap

    @property
    def redis_url(self) -> str:
        if self._redis_url is None:
            if self._store not in STORES:
                raise ServiceError(f"{STORE_VARIABLE} is {self._store}: it can be {', '.join(STORES)}")
            self._redis = STORES[self._store](self.home / "redis")
            self._redis.start()
            self._redis_url = self._redis.url if isinstance(self._redis, RedisServer) else self._redis.store_url
        return self._redis_url

    def close(self) -> None:
        """Ends what this run started and what a test process that died has left; logs stay until the next run."""
        if self._redis is not None:
            self._redis.kill()
        if self._kafka is not None:
            self._kafka.kill()
        _stop_all(self.home)
        self._owner.close()


def new_home(runs_home: Path, stem: str) -> Path:
    """A folder of its own for a service that is not shared."""
    home = runs_home / f"{stem}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
    home.mkdir(parents=True)
    return home


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Two runs that begin together must not take each other's new folder for one that was left."""
    RUNS.mkdir(parents=True, exist_ok=True)
    with (RUNS / "begin.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _sweep() -> None:
    """Ends and clears the runs whose process is gone, one that was killed included."""
    for home in RUNS.glob("*/"):
        if not is_recorded_alive(home / _OWNER):
            _stop_all(home)
            shutil.rmtree(home, ignore_errors=True)


def _stop_all(home: Path) -> None:
    for pid_file in home.rglob("*.pid"):
        if pid_file.name != _OWNER:
            stop_recorded(pid_file)
