"""A TCP proxy (Toxiproxy) before a service: connections through it are cut, refused, slowed down or made a black hole.

Law: only what goes through a proxy is disturbed; who connects to the service itself notices nothing.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.services import machine
from tests.services.process import Process, free_port, listens

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.services.kafka import Kafka

API_TIMEOUT_S = 10.0
_DIRECTIONS = ("upstream", "downstream")


@dataclass(frozen=True)
class Proxy:
    """Clients connect to `address`, host:port, and what they send goes on to `upstream`, likewise."""

    name: str
    address: str
    upstream: str
    _api: str  # URL of the server that runs it.

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    def cut(self) -> None:
        """Ends all connections there are; new ones are taken at once."""
        self.down()
        self.up()

    def down(self) -> None:
        """Ends all connections there are and refuses new ones until `up` or `heal`."""
        self._set(enabled=False)

    def up(self) -> None:
        self._set(enabled=True)

    def delay(self, ms: int, jitter: int = 0) -> None:
        """What is sent arrives so much later, in each direction, give or take at most `jitter` ms."""
        self._poison("latency", {"latency": ms, "jitter": jitter})

    def black_hole(self) -> None:
        """What is sent is lost, in each direction; connections stay open and new ones are taken, until `heal`, which
        ends those from which bytes may be missing."""
        self._poison("timeout", {"timeout": 0})

    def heal(self) -> None:
        """As it was at the beginning, whatever was done to it."""
        for toxic in _ask(f"{self._url}/toxics"):
            _ask(f"{self._url}/toxics/{toxic['name']}", method="DELETE")
        self.up()

    def _poison(self, kind: str, attributes: dict[str, int]) -> None:
        for direction in _DIRECTIONS:
            toxic = {"name": f"{kind}-{direction}", "type": kind, "stream": direction, "attributes": attributes}
            _ask(f"{self._url}/toxics", toxic)

    def _set(self, *, enabled: bool) -> None:
        _ask(self._url, {"enabled": enabled})

    @property
    def _url(self) -> str:
        return f"{self._api}/proxies/{self.name}"


class Proxies:
    """The server that runs them, a `process` under `home`."""

    def __init__(self, home: Path) -> None:
        machine.build_toxiproxy()
        self._port = free_port()
        argv = [str(machine.toxiproxy()), "-host", "127.0.0.1", "-port", str(self._port)]
        self.process = Process("toxiproxy", argv, home)

    def start(self) -> None:
        self.process.start()
        self.process.wait_until(lambda: listens(self._port))

    def kill(self) -> None:
        self.process.kill()

    def new(self, name: str, upstream: str, *, port: int | None = None) -> Proxy:
        """A proxy before `upstream`, host:port, which need not be there yet."""
        proxy = Proxy(name, f"127.0.0.1:{port or free_port()}", upstream, f"http://127.0.0.1:{self._port}")
        _ask(f"{proxy._api}/proxies", {"name": name, "listen": proxy.address, "upstream": upstream, "enabled": True})
        return proxy

    def before(self, kafka: Kafka, listener: int = 0) -> list[Proxy]:
        """One before each node of a `Kafka(…, proxied=…)`; their addresses are what clients bootstrap from."""
        ports = zip(kafka.proxy_ports[listener], kafka.proxied_ports[listener], strict=True)
        return [
            self.new(f"kafka-{node}-{listener}", f"127.0.0.1:{inner}", port=outer)
            for node, (outer, inner) in enumerate(ports, start=1)
        ]


@contextmanager
def proxies(home: Path) -> Iterator[Proxies]:
    """A server for proxies, until the end of the block."""
    server = Proxies(home)
    server.start()
    try:
        yield server
    finally:
        server.kill()


def _ask(url: str, body: dict[str, Any] | None = None, *, method: str | None = None) -> Any:
    """What the server answers to a GET, or to a POST where there is a body."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    try:
        with _DIRECT.open(request, timeout=API_TIMEOUT_S) as response:
            answer = response.read()
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{request.method or 'POST'} {url}: {error.code} {error.read().decode()}") from error
    return json.loads(answer) if answer else None


# A proxy that the environment names for the way outside is not for this machine's own addresses.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
