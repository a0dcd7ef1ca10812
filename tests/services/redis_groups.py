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

SLOTS = 16384
# How long a server must be silent before the others act: short, so that a test of a failure does not wait long.
SILENCE_MS = 2000
READY_S = 30.0
_CLUSTERED = ("--cluster-enabled", "yes", "--cluster-node-timeout", str(SILENCE_MS))


class RedisCluster:
    """Three masters without replicas, the slots shared out evenly; `masters[i]` may be killed, paused, rolled back."""

    def __init__(self, home: Path, *, masters: int = 3, **options: Any) -> None:
        # Between themselves they talk on these; the usual, 10,000 above, are ports of outgoing connections.
        self._bus_ports = [free_port() for _ in range(masters)]
        self.masters = [
            RedisServer(home / f"node-{i + 1}", options=(*_CLUSTERED, "--cluster-port", str(bus_port)), **options)
            for i, bus_port in enumerate(self._bus_ports)
        ]

    @property
    def url(self) -> str:
        """One of its servers: a cluster client finds the others from there."""
        return self.masters[0].url

    def start(self) -> None:
        for master in self.masters:
            master.start()
        for i, master in enumerate(self.masters):
            first, after = SLOTS * i // len(self.masters), SLOTS * (i + 1) // len(self.masters)
            _say(master, "CLUSTER ADDSLOTSRANGE", first, after - 1)
        for master in self.masters[1:]:
            _say(master, "CLUSTER MEET", "127.0.0.1", self.masters[0].port, self._bus_ports[0])
        _await(lambda: all(map(self._is_whole, self.masters)), "the Redis Cluster")

    def kill(self) -> None:
        for master in self.masters:
            master.kill()

    def _is_whole(self, master: RedisServer) -> bool:
        known = _said(master.url, "CLUSTER INFO")
        return known["cluster_state"] == "ok" and int(known["cluster_known_nodes"]) == len(self.masters)


class RedisSentinel:
    """A master, a replica of it, and a Sentinel that alone decides that the master is gone."""

    master_name = "projector"

    def __init__(self, home: Path) -> None:
        # By default a master waits five seconds for more replicas to come before it sends the first its data.
        self.master = RedisServer(home / "master", options=("--repl-diskless-sync-delay", "0"))
        self.replica = RedisServer(home / "replica", options=("--replicaof", "127.0.0.1", str(self.master.port)))
        self.port = free_port()
        self.process = machine.redis_process("sentinel", [str(self._write_settings(home)), "--sentinel"], home)

    @property
    def url(self) -> str:
        """Where the Sentinel listens."""
        return f"redis://127.0.0.1:{self.port}"

    def master_port(self) -> int:
        """The port of the master as the Sentinel has it now."""
        _, port = _said(self.url, "SENTINEL GET-MASTER-ADDR-BY-NAME", self.master_name)
        return int(port)

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
        return int(master["num-slaves"]) == 1 and _said(self.replica.url, "INFO")["master_link_status"] == "up"

    def _write_settings(self, home: Path) -> Path:
        path = home / "sentinel.conf"
        path.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {home}\n"
            f"sentinel monitor {self.master_name} 127.0.0.1 {self.master.port} 1\n"
            f"sentinel down-after-milliseconds {self.master_name} {SILENCE_MS}\n"
        )
        return path


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
