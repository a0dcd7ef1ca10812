from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
import redis

from projector.adapters.redis import RedisStore, open_store
from projector.errors import WrongInput
from tests.adapters.store_contract import OwnershipContract, StoreContract
from tests.services.process import wait_for
from tests.services.redis import RedisServer
from tests.services.run import new_home

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

IDENTITY = {"cluster_id": "cluster-1", "topic_id": "topic-1"}


@pytest.fixture(scope="module")
def cluster_url(services_home: Path) -> Iterator[str]:
    servers = [RedisServer(new_home(services_home, "node"), options=("--cluster-enabled", "yes")) for _ in range(3)]
    for server in servers:
        server.start()
    join_cluster(servers)
    yield servers[0].url
    for server in servers:
        server.kill()


class TestCluster(StoreContract, OwnershipContract):
    """Three nodes; a store of one shard, so of one node, is held to all of it as well."""

    @pytest.fixture
    def store(self, cluster_url: str, unique_name: Callable[[str], str]) -> Iterator[RedisStore]:
        with closing(open_store(cluster_url, unique_name("store"), identity=IDENTITY, shards=1)) as store:
            yield store

    @pytest.fixture
    def sharded(self, cluster_url: str, unique_name: Callable[[str], str]) -> Iterator[RedisStore]:
        with closing(open_store(cluster_url, unique_name("store"), identity=IDENTITY, shards=4)) as store:
            yield store

    def test_a_cluster_has_some_dozens_of_shards(self, cluster_url: str, unique_name: Callable[[str], str]) -> None:
        with closing(open_store(cluster_url, unique_name("store"), identity=IDENTITY)) as store:
            assert store.shards == 48

    def test_a_cluster_with_a_node_that_evicts_is_refused(self, cluster_url: str) -> None:
        cluster: Any = redis.RedisCluster.from_url(cluster_url)
        with closing(cluster):
            last = cluster.get_primaries()[-1]
            cluster.config_set("maxmemory-policy", "allkeys-lru", target_nodes=last)
            with pytest.raises(WrongInput, match=f"{last.port} has maxmemory-policy allkeys-lru"):
                open_store(cluster_url, "ns", identity=IDENTITY)
            cluster.config_set("maxmemory-policy", "noeviction", target_nodes=last)


def join_cluster(servers: Sequence[RedisServer]) -> None:
    """Shares the slots out and waits until every node knows all of it."""
    bounds = [16384 * i // len(servers) for i in range(len(servers) + 1)]
    clients: list[Any] = [redis.Redis.from_url(server.url) for server in servers]
    for client, first, end in zip(clients, bounds, bounds[1:], strict=False):
        client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, end - 1)
        client.execute_command("CLUSTER", "MEET", "127.0.0.1", servers[0].port)
    for client in clients:
        assert wait_for(lambda: "cluster_state:ok" in str(client.execute_command("CLUSTER", "INFO")), timeout_s=30)  # noqa: B023
        client.close()
