"""The store behind Sentinels: its master is found, also after a failover, which is noticed before anything is written."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
import redis

from projector.adapters.redis import RedisStore, open_store
from projector.adapters.redis_check import check_server
from projector.errors import Doubt, ProjectorError, Unavailable, WrongInput
from projector.ports import Overtaken, Position, Saved, Write
from tests.adapters.store_calls import NOW, A, applied_of, put, record, saved
from tests.adapters.store_contract import StoreContract
from tests.services.process import free_port, wait_for
from tests.services.redis_groups import RedisSentinel
from tests.services.run import new_home, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.services.redis import RedisServer


IDENTITY = {"cluster_id": "cluster-1", "topic_id": "topic-1"}
IMPATIENT = {"socket_timeout": 0.2}
SILENCE_MS = 300


@pytest.fixture(scope="module")
def calm(services_home: Path) -> Iterator[RedisSentinel]:
    """For the tests that break nothing."""
    with running(RedisSentinel(new_home(services_home, "sentinel"), password="right-secret")) as watched:
        yield watched


@pytest.fixture
def watched(services_home: Path) -> Iterator[RedisSentinel]:
    with running(RedisSentinel(new_home(services_home, "sentinel"), silence_ms=SILENCE_MS)) as watched:
        yield watched


class TestSentinel(StoreContract):
    @pytest.fixture
    def store(self, calm: RedisSentinel, unique_name: Callable[[str], str]) -> Iterator[RedisStore]:
        with closing(open_store(calm.store_url, unique_name("store"), identity=IDENTITY)) as store:
            yield store

    @pytest.fixture
    def sharded(self, calm: RedisSentinel, unique_name: Callable[[str], str]) -> Iterator[RedisStore]:
        with closing(open_store(calm.store_url, unique_name("store"), identity=IDENTITY, shards=4)) as store:
            yield store


# What is said.


def refusal(kind: type[ProjectorError], url: str) -> str:
    with pytest.raises(kind) as refused:
        check_server(url)
    return str(refused.value)


def test_facts_are_told_of_the_master(calm: RedisSentinel) -> None:
    facts = check_server(calm.store_url)

    assert facts.where == f"127.0.0.1:{calm.port}/projector"
    assert (facts.clustered, facts.append_only, facts.replicas) == (False, True, 1)


def test_of_several_sentinels_one_has_to_answer(calm: RedisSentinel) -> None:
    url = calm.store_url.replace("@", f"@127.0.0.1:{free_port()},")

    assert check_server(url).replicas == 1


def test_a_service_that_no_sentinel_watches_is_wrong_input(calm: RedisSentinel) -> None:
    said = refusal(WrongInput, f"redis+sentinel://127.0.0.1:{calm.port}/another")

    assert "watch no another, but projector: check redis_url" in said


def test_sentinels_that_do_not_answer_are_unavailable() -> None:
    said = refusal(Unavailable, f"redis+sentinel://:secret@127.0.0.1:{free_port()}/projector")

    assert "does not answer" in said
    assert "secret" not in said


def test_a_wrong_password_of_the_master_is_wrong_input(calm: RedisSentinel) -> None:
    said = refusal(WrongInput, calm.store_url.replace("right-", "wrong-"))

    assert "redis_url" in said
    assert "secret" not in said


def test_a_sentinel_has_a_password_of_its_own(calm: RedisSentinel) -> None:
    with redis.Redis.from_url(calm.url) as sentinel:
        sentinel.execute_command("ACL SETUSER", "default", "resetpass", ">other-secret")
        try:
            said = refusal(WrongInput, calm.store_url)
            facts = check_server(calm.store_url, {"sentinel_password": "other-secret"})
        finally:
            sentinel.execute_command("ACL SETUSER", "default", "nopass")

    assert "check redis_sentinel_username and redis_sentinel_password" in said
    assert facts.replicas == 1


# Failover.


@pytest.fixture
def store(watched: RedisSentinel) -> Iterator[RedisStore]:
    with closing(open_store(watched.store_url, "ns", identity=IDENTITY, options=IMPATIENT)) as store:
        yield store


def fail_over(watched: RedisSentinel) -> None:
    watched.master.kill()
    with redis.Redis.from_url(watched.url) as sentinel:
        # Asked for the address alone it tells the new one before it has brought the failover to its end.
        assert wait_for(
            lambda: sentinel.sentinel_masters()[watched.master_name]["port"] == watched.replica.port, timeout_s=30
        )


def positions(store: RedisStore) -> list[dict[int, Position]]:
    """Those of a new life, which begins as soon as there is a master."""
    found: list[Any] = []

    def can_begin() -> bool:
        try:
            found[:] = store.positions()
        except Unavailable:
            return False
        return True

    assert wait_for(can_begin, timeout_s=30)
    return found


def test_a_new_master_is_a_doubt_until_a_new_life_begins(store: RedisStore, watched: RedisSentinel) -> None:
    token = put(store, A, 1, positions={0: Position(1, NOW)}, expected={0: None})
    assert wait_for(lambda: replica_has(watched, b"1 "), timeout_s=10)
    fail_over(watched)

    with pytest.raises(Doubt):
        store.save(0, Write({0: 1}, tracks=[(A, token, record(A, 2))]))
    assert positions(store) == [{0: Position(1, NOW)}]
    saved(store, (A, token, record(A, 2)), expected={0: 1})
    assert applied_of(store, A) == 2


def test_a_new_master_that_lacks_writes_refuses_what_builds_on_them(store: RedisStore, watched: RedisSentinel) -> None:
    put(store, A, 1, positions={0: Position(1, NOW)}, expected={0: None})
    assert wait_for(lambda: replica_has(watched, b"1 "), timeout_s=10)
    watched.cut_off_the_replica()
    saved(store, positions={0: Position(2, NOW)}, expected={0: 1})
    fail_over(watched)

    with pytest.raises(Doubt):
        store.load([A])
    assert positions(store) == [{0: Position(1, NOW)}]
    assert store.save(0, Write({0: 2}, {0: Position(3, NOW)})) == Overtaken({0: Position(1, NOW)})


def replica_has(watched: RedisSentinel, offset: bytes) -> bool:
    with redis.Redis.from_url(watched.replica.url) as client:
        found: Any = client.hget("ns:{0}:pos", "0")
    return found is not None and found.startswith(offset)


def test_a_replica_is_not_taken_for_the_store(watched: RedisSentinel, store: RedisStore) -> None:
    with (
        closing(RedisStore(watched.replica.url, "ns", shards=1, clustered=False)) as mistaken,
        pytest.raises(Unavailable, match=f"it is a replica of 127.0.0.1:{watched.master.port}"),
    ):
        mistaken.positions()
    assert isinstance(store.save(0, Write({})), Saved)


def test_a_master_that_became_a_replica_takes_nothing_and_is_not_read(new_redis: Callable[..., RedisServer]) -> None:
    server, other = new_redis(), new_redis()
    with closing(open_store(server.url, "ns", identity=IDENTITY)) as store:
        token = put(store, A, 1)
        with redis.Redis.from_url(server.url) as client:
            client.replicaof("127.0.0.1", str(other.port))

        with pytest.raises(Doubt, match="has given what is written to another server"):
            store.save(0, Write({}, tracks=[(A, token, record(A, 2))]))
        with pytest.raises(Unavailable, match="it is a replica of"):
            store.positions()
