"""A Kafka of one KRaft node or more, each mostly broker and controller in one, with its data under one folder.

Law: a node comes back on the port and with the data it had, after a stop and after a kill alike.
"""

from __future__ import annotations

import base64
import uuid
from functools import partial
from typing import TYPE_CHECKING

from tests.services import machine
from tests.services.process import Process, free_port, listens

if TYPE_CHECKING:
    from pathlib import Path


class Kafka:
    """nodes[i] is a `Process`: kill, pause and resume a single one there; `start` brings back those that are down.

    `controllers`: only the first so many of the nodes are controllers; without them the cluster decides nothing. None
    of them is where it is 0: then the controller is a process of its own, as in production. A lone node that is both is
    not for killing: back from that it leads its partitions twice, and loads each group twice at once, of which Kafka
    4.3.1 makes one with members, transactions and positions of before.
    `proxied`: so many listeners more has each node, the n-th on `proxied_ports[n][i]`, and tells who comes in there to
    find it on `proxy_ports[n][i]`, where nobody listens until something is put there (`Proxies.before`).
    """

    def __init__(
        self,
        home: Path,
        *,
        nodes: int = 1,
        ports: list[int] | None = None,
        proxied: int = 0,
        controllers: int | None = None,
    ) -> None:
        self.ports = ports or [free_port() for _ in range(nodes)]
        self.proxied_ports = [[free_port() for _ in range(nodes)] for _ in range(proxied)]
        self.proxy_ports = [[free_port() for _ in range(nodes)] for _ in range(proxied)]
        self._is_apart = controllers == 0
        self._controller_ports = [free_port() for _ in range(controllers or (1 if self._is_apart else nodes))]
        # Kafka's form of a UUID; the zero keeps it from beginning with a dash, which its tools take for an option.
        self._cluster_id = base64.urlsafe_b64encode(b"\0" + uuid.uuid4().bytes[1:]).decode().rstrip("=")
        self._properties = [
            _written(home / f"node-{i + 1}", self._settings(home / f"node-{i + 1}", i)) for i in range(nodes)
        ]
        self.nodes: list[Process] = [
            machine.kafka_process(f"kafka-{i + 1}", properties, self._cluster_id)
            for i, properties in enumerate(self._properties)
        ]
        self._controller: Process | None = None
        if self._is_apart:
            settings = self._settings_of_controller(home / "controller")
            self._controller_properties = _written(home / "controller", settings)
            self._controller = machine.kafka_process("controller", self._controller_properties, self._cluster_id)

    @property
    def bootstrap(self) -> str:
        return ",".join(f"127.0.0.1:{port}" for port in self.ports)

    def start(self, *, timeout_s: float = 60.0) -> None:
        """Starts every node that is down and waits until all take clients."""
        if self._controller is not None and not self._controller.is_alive():
            self._start(self._controller, self._controller_properties)
            self._controller.wait_until(partial(listens, self._controller_ports[0]), timeout_s=timeout_s)
        down = [i for i, node in enumerate(self.nodes) if not node.is_alive()]
        for i in down:
            self._start(self.nodes[i], self._properties[i])
        for i in down:
            # A node opens its listener only when the controller has let it in.
            self.nodes[i].wait_until(partial(listens, self.ports[i]), timeout_s=timeout_s)

    def stop(self) -> None:
        """Ends all nodes at once: one told to end when the others have gone would wait for a controller in vain."""
        for node in self.nodes:
            node.end()
        for node in self.nodes:
            node.stop()
        if self._controller is not None:  # After the brokers, which tell it.
            self._controller.stop()

    def kill_brokers(self) -> None:
        for node in self.nodes:
            node.kill()

    def kill(self) -> None:
        self.kill_brokers()
        if self._controller is not None:
            self._controller.kill()

    def restart(self) -> None:
        self.stop()
        self.start()

    def _start(self, process: Process, properties: Path) -> None:
        if not (properties.parent / "data" / "meta.properties").exists():
            machine.format_storage(properties, self._cluster_id)
        process.start()

    def _settings(self, home: Path, i: int) -> dict[str, object]:
        listener = f"PLAINTEXT://127.0.0.1:{self.ports[i]}"
        proxied, proxy = (
            "".join(f",PROXIED{n}://127.0.0.1:{of_nodes[i]}" for n, of_nodes in enumerate(ports))
            for ports in (self.proxied_ports, self.proxy_ports)
        )
        is_controller = not self._is_apart and i < len(self._controller_ports)
        controller = f",CONTROLLER://127.0.0.1:{self._controller_ports[i]}" if is_controller else ""
        names = ["PLAINTEXT", "CONTROLLER", *(f"PROXIED{n}" for n in range(len(self.proxied_ports)))]
        return {
            "process.roles": "broker,controller" if is_controller else "broker",
            "node.id": i + 1,
            "controller.quorum.voters": self._voters(),
            "listeners": f"{listener}{proxied}{controller}",
            "advertised.listeners": f"{listener}{proxy}",
            "inter.broker.listener.name": "PLAINTEXT",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": ",".join(f"{name}:PLAINTEXT" for name in names),
            "log.dirs": home / "data",
            **self._of_topics(),
        }

    def _settings_of_controller(self, home: Path) -> dict[str, object]:
        return {
            "process.roles": "controller",
            "node.id": _CONTROLLER_ID,
            "controller.quorum.voters": self._voters(),
            "listeners": f"CONTROLLER://127.0.0.1:{self._controller_ports[0]}",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": home / "data",
            **self._of_topics(),
        }

    def _of_topics(self) -> dict[str, object]:
        """Of brokers and of controllers, which decide how many replicas a new topic has."""
        nodes = len(self.ports)
        return {
            "default.replication.factor": min(nodes, 3),
            "min.insync.replicas": 2 if nodes >= 3 else 1,
            **_INTERNAL_TOPICS,
            "offsets.topic.replication.factor": min(nodes, 3),
            "transaction.state.log.replication.factor": min(nodes, 3),
            **_FOR_TESTS,
        }

    def _voters(self) -> str:
        first = _CONTROLLER_ID if self._is_apart else 1
        return ",".join(f"{n}@127.0.0.1:{port}" for n, port in enumerate(self._controller_ports, first))


def _written(home: Path, settings: dict[str, object]) -> Path:
    home.mkdir(parents=True, exist_ok=True)
    path = home / "server.properties"
    path.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    return path


_CONTROLLER_ID = 1000
"""Of one apart; brokers are 1, 2, ..."""

_INTERNAL_TOPICS = {
    "offsets.topic.num.partitions": 4,
    "transaction.state.log.num.partitions": 4,
    "transaction.state.log.min.isr": 1,
}

_FOR_TESTS = {
    "auto.create.topics.enable": "false",
    "group.initial.rebalance.delay.ms": 0,
    # A test of a worker that falls silent need not wait as long as a production group would.
    "group.min.session.timeout.ms": 1000,
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": 500,
    # How long a killed broker's registration keeps the one that is started in its place waiting: 9 s by default.
    "broker.session.timeout.ms": 2000,
    "broker.heartbeat.interval.ms": 500,
    # Records with old timestamps are test data: the broker is not to drop them by age.
    "log.retention.ms": -1,
}
