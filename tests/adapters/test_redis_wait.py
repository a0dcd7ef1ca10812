"""`redis_wait_replicas`: a write counts as made when so many replicas have it, and costs nothing more where none must."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
import redis

from projector.adapters.redis import RedisStore, open_store
from projector.adapters.redis_writer import Wait
from projector.errors import Unavailable
from projector.ports import Position, Saved, Write
from tests.adapters.store_calls import NOW, A, applied_of, put, record
from tests.services.redis_groups import RedisCluster, RedisSentinel
from tests.services.run import new_home, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.services.redis import RedisServer

IDENTITY = {"cluster_id": "cluster-1", "topic_id": "topic-1"}
SHORT_MS = 50
"""For a replica that will not answer."""
SHARDS = 6
"""Enough for each of three nodes to have one."""


@pytest.fixture(scope="module")
def pair(services_home: Path) -> Iterator[RedisSentinel]:
    """A master and its replica, which nobody declares dead."""
    with running(RedisSentinel(new_home(services_home, "pair"), silence_ms=60_000)) as pair:
        yield pair


@pytest.fixture(scope="module")
def cluster(services_home: Path) -> Iterator[RedisCluster]:
    """Three masters with a replica each, none of which anybody declares dead."""
    with running(RedisCluster(new_home(services_home, "cluster"), replicas=3, silence_ms=60_000)) as cluster:
        yield cluster


@pytest.fixture
def open_with(unique_name: Callable[[str], str]) -> Iterator[Callable[..., RedisStore]]:
    opened: list[RedisStore] = []

    def open_(url: str, replicas: int, timeout_ms: int = 5000, shards: int = 1) -> RedisStore:
        wait = Wait(replicas, timeout_ms)
        opened.append(open_store(url, unique_name("ns"), identity=IDENTITY, shards=shards, wait=wait))
        return opened[-1]

    yield open_
    for store in opened:
        store.close()


def waits_of(server: RedisServer) -> int:
    """How many `WAIT`s it was asked for."""
    with redis.Redis.from_url(server.url) as client:
        stats: Any = client.info("commandstats")
    return int(stats.get("cmdstat_wait", {}).get("calls", 0))


def test_a_write_that_a_replica_has_counts_as_made(pair: RedisSentinel, open_with: Callable[..., RedisStore]) -> None:
    store, before = open_with(pair.store_url, 1), waits_of(pair.master)

    put(store, A, 1)

    assert applied_of(store, A) == 1
    assert waits_of(pair.master) > before


def test_nothing_is_waited_for_where_no_replica_is_asked_for(
    pair: RedisSentinel, open_with: Callable[..., RedisStore]
) -> None:
    store, before = open_with(pair.store_url, 0), waits_of(pair.master)

    put(store, A, 1)

    assert waits_of(pair.master) == before


def test_a_write_that_too_few_have_ends_the_life_and_is_made_by_the_next(
    pair: RedisSentinel, open_with: Callable[..., RedisStore]
) -> None:
    store = open_with(pair.store_url, 1, SHORT_MS)
    write = Write({0: None}, {0: Position(1, NOW)}, [(A, None, record(A))])
    pair.replica.process.pause()
    try:
        with pytest.raises(Unavailable, match=r"^0 replicas .* within 50 ms, redis_wait_replicas asks for 1: nothing"):
            store.save(0, write)
        assert store.positions()[0] == {0: Position(1, NOW)}
        with pytest.raises(Unavailable, match="nothing of it is published"):
            store.save(0, Write({0: 1}, {0: Position(1, NOW)}))
    finally:
        pair.replica.process.resume()

    store.positions()

    put(open_with(pair.store_url, 1), A, 2)  # Until the replica is there again.
    assert store.save(0, Write({0: 1}, {0: Position(1, NOW)})).positions == {0: Position(1, NOW)}  # type: ignore[union-attr]


def test_a_script_that_the_server_forgot_is_waited_for_too(
    pair: RedisSentinel, open_with: Callable[..., RedisStore]
) -> None:
    store = open_with(pair.store_url, 1)
    with redis.Redis.from_url(pair.master.url) as client:
        client.script_flush()

    put(store, A, 2)

    assert applied_of(store, A) == 2


def test_a_wait_longer_than_the_patience_with_a_server_is_waited_out(
    pair: RedisSentinel, unique_name: Callable[[str], str]
) -> None:
    wait, options = Wait(2, 400), {"socket_timeout": 0.2}
    with (
        closing(open_store(pair.store_url, unique_name("ns"), identity=IDENTITY, options=options, wait=wait)) as store,
        pytest.raises(Unavailable, match=r"^1 replicas"),
    ):
        store.save(0, Write({}, tracks=[(A, None, record(A))]))


def test_on_a_cluster_each_node_that_is_written_to_is_waited_for(
    cluster: RedisCluster, open_with: Callable[..., RedisStore]
) -> None:
    store = open_with(cluster.store_url, 1, shards=SHARDS)
    made = [store.save(shard, Write({0: None}, {0: Position(1, NOW)})) for shard in range(SHARDS)]
    before = [waits_of(master) for master in cluster.masters]

    made += [store.save(shard, Write({0: 1}, {0: Position(2, NOW)})) for shard in range(SHARDS)]

    asked = [waits_of(master) - was for master, was in zip(cluster.masters, before, strict=True)]
    assert all(isinstance(one, Saved) for one in made)
    assert sum(asked) == SHARDS
    assert all(asked)


def test_on_a_cluster_a_node_without_its_replica_is_noticed(
    cluster: RedisCluster, open_with: Callable[..., RedisStore]
) -> None:
    store = open_with(cluster.store_url, 1, SHORT_MS, shards=SHARDS)
    cluster.replicas[0].process.pause()
    outcomes = []
    try:
        for shard in range(SHARDS):
            try:
                store.save(shard, Write({0: None}, {0: Position(1, NOW)}))
                outcomes.append("made")
            except Unavailable:
                outcomes.append("too few")
    finally:
        cluster.replicas[0].process.resume()

    assert set(outcomes) == {"made", "too few"}
