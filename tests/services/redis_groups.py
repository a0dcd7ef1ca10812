"""Redis servers that act as one: a Cluster of masters, and a master with a replica that a Sentinel watches.

Law: each is ready for clients when `start` returns, and every server in it is a `RedisServer` that can be broken alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.services import machine
from tests.services.process import ServiceError, free_port, wait_for
from tests.services.redis import RedisServer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.services.certificate import Certificate

SLOTS = 16384
# How long a server must be silent before the others act: short, so that a test of a failure does not wait long.
SILENCE_MS = 2000
READY_S = 30.0
# By default a master waits five seconds for more replicas to come before it sends the first its data.
_QUICK_REPLICAS = ("--repl-diskless-sync-delay", "0")


class RedisCluster:
    """Three masters, the slots shared out evenly; `masters[i]` may be killed, paused, rolled back.

    `replicas[i]`, if there are any, follows `masters[i]`, and takes its place when it has been silent for too long.
    """

    def __init__(
        self, home: Path, *, masters: int = 3, replicas: int = 0, silence_ms: int = SILENCE_MS, **options: Any
    ) -> None:
        # Between themselves they talk on these; the usual, 10,000 above, are ports of outgoing connections.
        self._bus_ports = [free_port() for _ in range(masters + replicas)]
        shared = ("--cluster-enabled", "yes", "--cluster-node-timeout", str(silence_ms), *_QUICK_REPLICAS)
        self._servers = [
            RedisServer(home / f"node-{i + 1}", options=(*shared, "--cluster-port", str(bus_port)), **options)
            for i, bus_port in enumerate(self._bus_ports)
        ]
        self._scheme = "rediss" if options.get("certificate") else "redis"
        self.masters, self.replicas = self._servers[:masters], self._servers[masters:]

    @property
    def url(self) -> str:
        """One of its servers: a cluster client finds the others from there."""
        return self.masters[0].url

    @property
    def store_url(self) -> str:
        """As `redis_url` names it, with all masters: one of them may be down when a worker starts."""
        return f"{self._scheme}://" + ",".join(f"127.0.0.1:{master.port}" for master in self.masters)

    def start(self) -> None:
        for server in self._servers:
            server.start()
        for i, master in enumerate(self.masters):
            first, after = SLOTS * i // len(self.masters), SLOTS * (i + 1) // len(self.masters)
            _say(master, "CLUSTER ADDSLOTSRANGE", first, after - 1)
        for server in self._servers[1:]:
            _say(server, "CLUSTER MEET", "127.0.0.1", self.masters[0].port, self._bus_ports[0])
        _await(lambda: all(map(self._is_whole, self._servers)), "the Redis Cluster")
        for master, replica in zip(self.masters, self.replicas, strict=False):
            _say(replica, "CLUSTER REPLICATE", _said(master.url, "CLUSTER MYID"))
        _await(lambda: all(map(_is_in_step, self.replicas)), "the replicas of the Redis Cluster")

    def kill(self) -> None:
        for server in self._servers:
            server.kill()

    def _is_whole(self, server: RedisServer) -> bool:
        known = _said(server.url, "CLUSTER INFO")
        return known["cluster_state"] == "ok" and int(known["cluster_known_nodes"]) == len(self._servers)


class RedisSentinel:
    """A master, a replica of it, and a Sentinel that alone decides that the master is gone."""

    master_name = "projector"

    def __init__(
        self,
        home: Path,
        *,
        silence_ms: int = SILENCE_MS,
        password: str | None = None,
        certificate: Certificate | None = None,
    ) -> None:
        known = (*_QUICK_REPLICAS, *(("--masterauth", password) if password else ()))
        shared: dict[str, Any] = {"password": password, "certificate": certificate}
        self.master = RedisServer(home / "master", options=known, **shared)
        follows = ("--replicaof", "127.0.0.1", str(self.master.port))
        self.replica = RedisServer(home / "replica", options=(*known, *follows), **shared)
        self.port = free_port()
        self._silence_ms, self._password, self._certificate = silence_ms, password, certificate
        self.process = machine.redis_process("sentinel", [str(self._write_settings(home)), "--sentinel"], home)

    @property
    def url(self) -> str:
        """Where the Sentinel listens."""
        place = f"127.0.0.1:{self.port}"
        return f"rediss://{place}?{self._certificate.trusted}" if self._certificate else f"redis://{place}"

    @property
    def store_url(self) -> str:
        """As `redis_url` names it; a certificate is not trusted by that alone."""
        login = f":{self._password}@" if self._password else ""
        return (
            f"{'rediss' if self._certificate else 'redis'}+sentinel://{login}127.0.0.1:{self.port}/{self.master_name}"
        )

    def master_port(self) -> int:
        """The port of the master as the Sentinel has it now."""
        _, port = _said(self.url, "SENTINEL GET-MASTER-ADDR-BY-NAME", self.master_name)
        return int(port)

    def cut_off_the_replica(self) -> None:
        """It keeps what it has and gets no more, as behind a cut cable; the Sentinel mends that after some ten seconds."""
        _say(self.replica, "REPLICAOF", "127.0.0.1", free_port())

    def start(self) -> None:
        self.master.start()
        self.replica.start()
        self.process.start()
        _await(self._knows_the_replica, "the Sentinel")

    def kill(self) -> None:
        self.process.kill()
        self.replica.kill()
        self.master.kill()

    def _knows_the_replica(self) -> bool:
        try:
            master = _said(self.url, "SENTINEL MASTER", self.master_name)
        except redis.ConnectionError:
            return False
        return int(master["num-slaves"]) == 1 and _is_in_step(self.replica)

    def _write_settings(self, home: Path) -> Path:
        path = home / "sentinel.conf"
        listens = self._certificate.listening(self.port) if self._certificate else {"port": str(self.port)}
        path.write_text(
            "".join(f"{name} {value}\n" for name, value in listens.items()) + f"bind 127.0.0.1\ndir {home}\n"
            f"sentinel monitor {self.master_name} 127.0.0.1 {self.master.port} 1\n"
            f"sentinel down-after-milliseconds {self.master_name} {self._silence_ms}\n"
            + (f"sentinel auth-pass {self.master_name} {self._password}\n" if self._password else "")
        )
        return path


def _is_in_step(replica: RedisServer) -> bool:
    return bool(_said(replica.url, "INFO").get("master_link_status") == "up")


def _say(server: RedisServer, *command: object) -> None:
    with _client(server.url) as client:
        client.execute_command(*command)


def _said(url: str, *command: object) -> Any:
    with _client(url) as client:
        return client.execute_command(*command)


def _client(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, decode_responses=True, socket_timeout=2, retry=Retry(NoBackoff(), 0))


def _await(is_ready: Callable[[], bool], who: str) -> None:
    if not wait_for(is_ready, timeout_s=READY_S):
        raise ServiceError(f"{who} was not ready within {READY_S:g} s")
