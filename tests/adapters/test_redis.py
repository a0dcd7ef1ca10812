from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
import redis

from projector.adapters.redis import RedisStore, open_store
from projector.errors import Doubt, Unavailable
from projector.ports import Overtaken, Position, Saved, Write
from projector.session import new_session
from projector.track import Due, Track, encode_track
from tests.adapters.store_calls import NOW, A, B, applied_of, as_stored, put, record, saved, track
from tests.adapters.store_contract import StoreContract
from tests.services.process import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.services.redis import RedisServer

    NewRedis = Callable[..., RedisServer]

IDENTITY = {"cluster_id": "cluster-1", "topic_id": "topic-1"}
IMPATIENT = {"socket_timeout": 0.2}


class TestRedis(StoreContract):
    @pytest.fixture
    def store(self, redis_url: str, unique_name: Callable[[str], str]) -> Iterator[RedisStore]:
        with closing(open_store(redis_url, unique_name("store"), identity=IDENTITY)) as store:
            yield store

    @pytest.fixture
    def sharded(self, redis_url: str, unique_name: Callable[[str], str]) -> Iterator[RedisStore]:
        with closing(open_store(redis_url, unique_name("store"), identity=IDENTITY, shards=4)) as store:
            yield store


@pytest.fixture
def server(new_redis: NewRedis) -> RedisServer:
    return new_redis()


@pytest.fixture
def store(server: RedisServer) -> Iterator[RedisStore]:
    with closing(open_store(server.url, "ns", identity=IDENTITY, options=IMPATIENT)) as store:
        yield store


@pytest.fixture
def client(server: RedisServer) -> Iterator[Any]:
    """Another reader of the same server."""
    with redis.Redis.from_url(server.url) as client:
        yield client


def test_only_who_retired_a_short_id_last_gives_it_back(server: RedisServer, store: RedisStore) -> None:
    store.claim_short_ids([("a", "123456")], 6)
    with closing(open_store(server.url, "ns", identity=IDENTITY)) as other:
        store.retire_short_ids([("a", "123456")])
        other.retire_short_ids([("a", "123456")])

        store.release_short_ids([("a", "123456")])
        kept = store.claim_short_ids([("b", "123456")], 6)
        other.release_short_ids([("a", "123456")])

    assert kept != ["123456"]
    assert store.claim_short_ids([("c", "123456")], 6) == ["123456"]


def test_keys_are_named_as_the_design_says(store: RedisStore, client: Any) -> None:
    put(store, A, due=[(A, None, Due(2, NOW))], notes=[(3, A)], positions={0: Position(5, NOW)}, expected={0: None})
    store.claim_short_ids([("a", "123456")], 6)
    store.origins({0: 4})

    assert client.getrange("ns:{0}:t:s:a", 0, 11) == store.load([A])[A].token  # type: ignore[union-attr]
    assert client.zrange("ns:{0}:due:2", 0, -1, withscores=True) == [(b"s:a", NOW)]
    assert client.zrange("ns:{0}:note:3", 0, -1, withscores=True) == [(b"s:a", 1)]
    assert client.hgetall("ns:{0}:noted") == {b"3": b"1"}
    assert client.hgetall("ns:{0}:pos") == {b"0": f"5 {NOW}".encode()}
    assert client.hget("ns:short", "123456") == b"a"
    assert client.hgetall("ns:origin") == {b"0": b"4"}
    assert client.hgetall("ns:meta") == {
        b"format": b"2", b"fold": b"1", b"shards": b"1", b"cluster_id": b"cluster-1", b"topic_id": b"topic-1",
    }  # fmt: skip
    assert client.dbsize() == 9


def test_a_large_track_is_kept_compressed_and_given_as_it_was(store: RedisStore, client: Any) -> None:
    large = Track({0: 1}, 0, [new_session("a" * 10_000)])

    token = saved(store, (A, None, encode_track(large))).tokens[A]

    assert store.load([A]) == {A: as_stored(token, large)}
    assert client.strlen("ns:{0}:t:s:a") < 1_000


def test_a_walk_through_all_tracks_keeps_to_the_namespace(server: RedisServer) -> None:
    with closing(open_store(server.url, "n*s", identity=IDENTITY)) as mine:
        for namespace in ("n*s", "nxs", "n*s2"):
            with closing(open_store(server.url, namespace, identity=IDENTITY)) as store:
                put(store, A, len(namespace))

        assert dict(mine.sessions()) == {A: track(A, 3)}


def test_two_stores_never_give_one_token(server: RedisServer, store: RedisStore) -> None:
    mine = put(store, A)
    with closing(open_store(server.url, "ns", identity=IDENTITY)) as other:
        theirs = saved(other, (A, mine, record(A))).tokens[A]

    assert mine != theirs


def test_tokens_stay_new_when_the_count_of_writes_begins_anew(store: RedisStore) -> None:
    first = put(store, A)
    store._writes = (1 << 24) - 2

    assert len({first, put(store, A), put(store, A), put(store, A)}) == 4


def test_a_server_that_forgot_the_scripts_is_told_again(store: RedisStore, client: Any) -> None:
    put(store, A)
    client.script_flush()

    put(store, A, 2)
    client.script_flush()

    assert store.claim_short_ids([("a", "123456")], 6) == ["123456"]
    assert applied_of(store, A) == 2


# What others do.


def test_a_position_of_another_worker_that_went_down_refuses_the_write(store: RedisStore, client: Any) -> None:
    saved(store, positions={0: Position(5, NOW), 1: Position(5, NOW)}, expected={0: None, 1: None})
    client.hset("ns:{0}:pos", "1", f"4 {NOW}")

    assert store.save(0, Write({0: 5}, {0: Position(6, NOW)})) == Overtaken({0: Position(5, NOW), 1: Position(4, NOW)})
    client.hdel("ns:{0}:pos", "1")
    assert store.save(0, Write({0: 5}, {0: Position(6, NOW)})) == Overtaken({0: Position(5, NOW)})


def test_a_position_of_another_worker_that_went_up_is_taken_as_it_is(store: RedisStore, client: Any) -> None:
    saved(store, positions={0: Position(5, NOW), 1: Position(5, NOW)}, expected={0: None, 1: None})
    client.hset("ns:{0}:pos", "1", f"6 {NOW}")

    assert saved(store, expected={0: 5}).positions[1] == Position(6, NOW)


def test_a_new_life_takes_the_positions_as_they_are(store: RedisStore, client: Any) -> None:
    saved(store, positions={1: Position(5, NOW)}, expected={1: None})
    client.delete("ns:{0}:pos")

    assert store.positions() == [{}]
    assert isinstance(store.save(0, Write({0: None})), Saved)


# What goes wrong.


def test_a_save_without_an_answer_is_a_doubt_and_is_sent_once(store: RedisStore, server: RedisServer) -> None:
    token = put(store, A, 1)
    with redis.Redis.from_url(server.url) as client:
        client.config_resetstat()
    server.process.pause()
    with pytest.raises(Doubt, match="no answer"):
        store.save(0, Write({}, tracks=[(A, token, record(A, 2))]))
    server.process.resume()

    store.positions()

    assert wait_for(lambda: applied_of(store, A) == 2, timeout_s=10)  # It had arrived.
    with redis.Redis.from_url(server.url) as client:
        assert client.info("commandstats")["cmdstat_evalsha"]["calls"] == 1


def test_a_load_without_an_answer_is_tried_again(store: RedisStore, client: Any) -> None:
    put(store, A)
    client.client_kill_filter(_type="normal", skipme=True)

    assert applied_of(store, A) == 1


def test_a_server_that_does_not_answer_is_unavailable_to_those_who_read(store: RedisStore, server: RedisServer) -> None:
    server.stop()

    with pytest.raises(Unavailable, match=rf"127.0.0.1:{server.port}.* does not answer"):
        store.load([A])
    with pytest.raises(Unavailable, match="does not answer"):
        store.positions()


@pytest.mark.parametrize("call", ["save", "load"])
def test_a_restarted_server_is_a_doubt_until_a_new_life_begins(
    store: RedisStore, server: RedisServer, call: str
) -> None:
    token = put(store, A, 1)
    server.restart()

    for _ in range(2):
        with pytest.raises(Doubt, match="restarted"):
            store.load([A]) if call == "load" else store.save(0, Write({}, tracks=[(A, token, None)]))
    store.positions()

    assert applied_of(store, A) == 1
    saved(store, (A, token, None))


def test_a_server_that_lost_writes_is_noticed_by_its_positions(store: RedisStore, server: RedisServer) -> None:
    saved(store, positions={0: Position(5, NOW)}, expected={0: None})
    server.stop()
    server.keep_copy("earlier")
    server.start()
    store.positions()
    saved(store, (A, None, record(A)), positions={0: Position(6, NOW)}, expected={0: 5})
    server.roll_back("earlier")

    with pytest.raises(Doubt):
        store.save(0, Write({0: 6}, {0: Position(7, NOW)}))
    assert store.positions() == [{0: Position(5, NOW)}]
    assert isinstance(store.save(0, Write({0: 6}, {0: Position(7, NOW)})), Overtaken)


def test_out_of_memory_is_said_and_nothing_is_written(store: RedisStore, client: Any) -> None:
    token = put(store, A, 1, positions={0: Position(1, NOW)}, expected={0: None}, notes=[(0, A)])
    client.config_set("maxmemory", "1mb")
    write = Write({0: 1}, {0: Position(2, NOW)}, [(A, token, record(A, 2))], clear_notes=[(0, A, token)])

    with pytest.raises(Unavailable, match="maxmemory"):
        store.save(0, write)

    client.config_set("maxmemory", "0")
    assert applied_of(store, A) == 1
    assert saved(store, expected={0: 1}, clocks={0: NOW}).notes == {A: 0}


def test_a_server_that_may_not_write_is_unavailable_and_nothing_is_written(store: RedisStore, client: Any) -> None:
    client.config_set("min-replicas-to-write", "1")

    with pytest.raises(Unavailable, match="nothing was written"):
        put(store, A)

    client.config_set("min-replicas-to-write", "0")
    assert applied_of(store, A) is None


@pytest.mark.parametrize("record", [b"short", b"x" * 12 + b"\xff" + b"rest", b"x" * 12 + b"\x01" + b"\xc1"])
def test_a_record_that_cannot_be_read_is_named(store: RedisStore, client: Any, record: bytes) -> None:
    client.set("ns:{0}:t:s:b", record)

    with pytest.raises(Unavailable, match=r"s:b in namespace ns .* cannot be read"):
        store.load([B])
