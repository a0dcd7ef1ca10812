from __future__ import annotations

from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import redis

from projector.adapters.redis import RedisStore, open_store
from projector.errors import Doubt, Unavailable, WrongInput
from projector.ports import Position, Saved, Write
from projector.route import TrackKey, named_track
from projector.track import Due
from tests.adapters.store_calls import NOW, applied_of, record
from tests.adapters.store_contract import StoreContract
from tests.services.process import wait_for
from tests.services.redis_groups import RedisCluster
from tests.services.run import new_home, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

IDENTITY = {"cluster_id": "cluster-1", "topic_id": "topic-1"}
SHARDS = 6
"""Enough for each of three nodes to have one."""


@pytest.fixture(scope="module")
def cluster_url(services_home: Path) -> Iterator[str]:
    with running(RedisCluster(new_home(services_home, "redis-cluster"))) as cluster:
        yield cluster.url


class TestCluster(StoreContract):
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


# What lives and dies with a node.


@pytest.fixture
def store(cluster_url: str, unique_name: Callable[[str], str]) -> Iterator[RedisStore]:
    with closing(open_store(cluster_url, unique_name("store"), identity=IDENTITY, shards=SHARDS)) as store:
        yield store


@pytest.fixture
def cluster(cluster_url: str) -> Iterator[Any]:
    """Another client of it."""
    with closing(redis.RedisCluster.from_url(cluster_url)) as client:
        yield client


def fill(store: RedisStore) -> dict[int, TrackKey]:
    """Puts a session into each shard, with its position, its deadline and a note; gives the session's track."""
    keys = {store.shard_of(key): key for key in (named_track(str(number)) for number in range(100))}
    for shard, key in keys.items():
        write = Write(
            {0: None}, {0: Position(5, NOW)}, [(key, None, record(key))], [(key, None, Due(0, NOW))], [(1, key)]
        )
        assert isinstance(store.save(shard, write), Saved)
    return keys


def kept_of(store: RedisStore, shard: int, key: TrackKey, cluster: Any) -> tuple[bool, bool, bool, bool]:
    """Whether session, position, deadline and note are there."""
    base = f"{store._namespace}:{{{shard}}}:"
    deadline, note = cluster.zscore(f"{base}due:0", key), cluster.zscore(f"{base}note:1", key)
    is_there = store.load([key])[key] is not None
    return is_there, 0 in store.positions()[shard], deadline is not None, note is not None


def test_a_session_its_position_and_its_deadline_are_in_one_slot(store: RedisStore, cluster: Any) -> None:
    fill(store)

    slots: dict[bytes, set[int]] = {}
    for key in cluster.scan_iter(match=f"{store._namespace}:{{*"):
        slots.setdefault(key.partition(b"{")[2].partition(b"}")[0], set()).add(cluster.keyslot(key))
    assert len(slots) == SHARDS
    assert all(len(of_shard) == 1 for of_shard in slots.values())
    nodes = {cluster.get_node_from_key(f"{{{shard}}}").name for shard in range(SHARDS)}
    assert len(nodes) == 3  # They are not in one slot because all are.


def test_a_session_its_position_and_its_deadline_die_together_with_their_node(store: RedisStore, cluster: Any) -> None:
    keys = fill(store)
    node = cluster.get_primaries()[0]
    lost = {shard for shard in keys if cluster.get_node_from_key(f"{{{shard}}}") == node}

    cluster.flushall(target_nodes=node)

    assert lost
    assert {shard: kept_of(store, shard, key, cluster) for shard, key in keys.items()} == {
        shard: (False,) * 4 if shard in lost else (True,) * 4 for shard in keys
    }


def test_while_a_node_gives_a_shard_away_its_writes_are_refused_as_a_whole(store: RedisStore, cluster: Any) -> None:
    shard, key = next(iter(fill(store).items()))
    base = f"{store._namespace}:{{{shard}}}:"
    stored = store.load([key])[key]
    assert stored is not None
    write = Write({0: 5}, {0: Position(6, NOW)}, [(key, stored.token, record(key, 2))], [(key, None, Due(0, NOW - 1))])
    write.clocks = {0: NOW}

    with moving(cluster, cluster.keyslot(base)) as (move_key, move_slot):
        move_key(f"{base}due:0")
        with pytest.raises(Unavailable, match="nothing was written"):
            store.save(shard, write)
        assert applied_of(store, key) == 1
        move_slot()

    with pytest.raises(Doubt, match="another server"):
        store.save(shard, write)
    assert store.positions()[shard] == {0: Position(5, NOW)}
    result = store.save(shard, write)
    assert isinstance(result, Saved)
    assert result.due == {key: Due(0, NOW - 1)}


def test_a_cluster_that_is_down_is_waited_for(store: RedisStore, cluster: Any) -> None:
    shard, slot = 0, cluster.keyslot("{0}")
    store.save(shard, Write({0: None}, {0: Position(5, NOW)}))
    node = cluster.nodes_manager.get_node_from_slot(slot)
    cluster.execute_command("CLUSTER DELSLOTS", slot, target_nodes=node)
    try:
        with pytest.raises(Unavailable, match="nothing was written"):
            store.save(shard, Write({0: 5}, {0: Position(6, NOW)}))
        with pytest.raises(Unavailable):
            store.positions()
    finally:
        cluster.execute_command("CLUSTER ADDSLOTS", slot, target_nodes=node)

    assert wait_for(lambda: positions_of(store, shard) == {0: Position(5, NOW)}, timeout_s=30)
    assert isinstance(store.save(shard, Write({0: 5}, {0: Position(6, NOW)})), Saved)


def positions_of(store: RedisStore, shard: int) -> dict[int, Position] | None:
    """None while the cluster is down."""
    try:
        return store.positions()[shard]
    except Unavailable:
        return None


@contextmanager
def moving(cluster: Any, slot: int) -> Iterator[tuple[Callable[[str | bytes], None], Callable[[], None]]]:
    """While a slot moves to another node; gives what moves a key, and what ends the move."""
    source = cluster.nodes_manager.get_node_from_slot(slot)
    target = next(node for node in cluster.get_primaries() if node != source)
    ids = {node.name: cluster.execute_command("CLUSTER MYID", target_nodes=node) for node in cluster.get_primaries()}
    cluster.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", ids[source.name], target_nodes=target)
    cluster.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", ids[target.name], target_nodes=source)

    def move_key(key: str | bytes) -> None:
        # The host as the node knows the other by.
        cluster.execute_command("MIGRATE", target.host, target.port, key, 0, 5000, target_nodes=source)

    def move_slot() -> None:
        """With all keys that are still in it, also those of other tests."""
        for key in cluster.execute_command("CLUSTER GETKEYSINSLOT", slot, 10_000, target_nodes=source):
            move_key(key)
        for node in (target, source, *cluster.get_primaries()):
            cluster.execute_command("CLUSTER SETSLOT", slot, "NODE", ids[target.name], target_nodes=node)

    yield move_key, move_slot
