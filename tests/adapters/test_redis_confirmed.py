"""A save compares what others may have written, and reads nothing else again."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
import redis

from projector.adapters.redis import RedisStore, open_store
from projector.adapters.redis_confirmed import Confirmed
from projector.ports import Conflict, Token, Write
from projector.route import TrackKey, named_track
from tests.adapters.store_calls import A, B, C, applied_of, as_stored, put, record, saved, track

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

IDENTITY = {"cluster_id": "cluster-1", "topic_id": "topic-1"}
FIRST, SECOND = Token(b"AAAAAAAAAAAA"), Token(b"BBBBBBBBBBBB")


@pytest.fixture
def namespace(unique_name: Callable[[str], str]) -> str:
    return unique_name("confirmed")


@pytest.fixture
def store(redis_url: str, namespace: str) -> Iterator[RedisStore]:
    with closing(open_store(redis_url, namespace, identity=IDENTITY)) as store:
        yield store


@pytest.fixture
def other(redis_url: str, namespace: str, store: RedisStore) -> Iterator[RedisStore]:
    """Another worker's."""
    with closing(open_store(redis_url, namespace, identity=IDENTITY)) as other:
        yield other


@pytest.fixture
def client(redis_url: str) -> Iterator[Any]:
    with closing(redis.Redis.from_url(redis_url)) as client:
        yield client


def compared(client: Any) -> int:
    """How many tracks have been compared on this server."""
    return int(client.info("commandstats").get("cmdstat_getrange", {"calls": 0})["calls"])


def conflicting(store: RedisStore, key: TrackKey, was: Token | None) -> set[TrackKey]:
    """What a write of a track is refused for."""
    answer = store.save(0, Write({}, tracks=[(key, was, record(key, 9))]))
    return set(answer.tracks) if isinstance(answer, Conflict) else set()


def test_a_track_that_this_store_wrote_last_is_not_compared(store: RedisStore, client: Any) -> None:
    token = put(store, A)
    before = compared(client)

    token = saved(store, (A, token, record(A, 2))).tokens[A]
    saved(store, (A, token, None))

    assert compared(client) == before


def test_a_track_that_was_compared_is_not_compared_again(store: RedisStore, other: RedisStore, client: Any) -> None:
    token = put(other, A)
    saved(store, (A, token, None))
    before = compared(client)

    saved(store, (A, token, None), (B, None, record(B)))
    assert compared(client) == before + 1  # B, of which it is not known that it is not there.
    saved(store, (A, token, record(A, 2)))
    assert compared(client) == before + 1


def test_what_others_wrote_is_noticed_though_it_was_confirmed(store: RedisStore, other: RedisStore) -> None:
    token = put(store, A)
    put(other, A, 2)

    assert conflicting(store, A, token) == {A}
    assert applied_of(store, A) == 2


def test_what_others_removed_is_noticed_though_it_was_confirmed(store: RedisStore, other: RedisStore) -> None:
    token = put(store, A)
    saved(other, sweep=[(A, token)])

    assert store.save(0, Write({}, tracks=[(A, token, record(A, 2))])) == Conflict({A: None})


def test_what_this_store_removed_is_noticed(store: RedisStore) -> None:
    token = put(store, A)
    saved(store, sweep=[(A, token)])

    assert conflicting(store, A, token) == {A}


def test_a_write_of_another_track_by_others_does_not_confirm_what_they_wrote_before(
    store: RedisStore, other: RedisStore
) -> None:
    token = put(store, A)
    theirs = put(other, A, 2)
    other_token = put(store, B)  # It finds that others wrote, and compares B only.

    assert conflicting(store, A, token) == {A}
    assert conflicting(store, A, theirs) == set()
    assert conflicting(store, B, other_token) == set()


def test_a_track_loaded_between_the_writes_of_others_is_compared(store: RedisStore, other: RedisStore) -> None:
    put(store, B)
    old = put(other, A)
    assert store.load([A])[A] == as_stored(old, track(A))
    put(other, A, 2)

    assert conflicting(store, A, old) == {A}


def test_a_shard_that_lost_its_last_writes_confirms_nothing(store: RedisStore, namespace: str, client: Any) -> None:
    first = put(store, A)
    kept = {name: client.get(f"{namespace}:{{0}}:{name}") for name in (f"t:{A}", "by")}
    second = saved(store, (A, first, record(A, 2))).tokens[A]
    client.mset({f"{namespace}:{{0}}:{name}": value for name, value in kept.items()})

    assert conflicting(store, A, second) == {A}
    assert conflicting(store, A, first) == set()


def test_a_shard_that_lost_everything_confirms_nothing(store: RedisStore, namespace: str, client: Any) -> None:
    token = put(store, A)
    client.delete(*client.keys(f"{namespace}:{{0}}:*"))

    assert conflicting(store, A, token) == {A}


def test_a_token_of_ours_that_is_not_the_last_is_noticed(store: RedisStore) -> None:
    old = put(store, A)
    put(store, A, 2)

    assert conflicting(store, A, old) == {A}


def test_a_refused_write_confirms_nothing(store: RedisStore, other: RedisStore) -> None:
    mine, theirs = put(store, A), put(other, B)
    assert isinstance(store.save(0, Write({}, tracks=[(A, mine, record(A, 2)), (B, None, record(B))])), Conflict)
    put(other, A, 3)

    assert conflicting(store, A, mine) == {A}
    assert conflicting(store, B, theirs) == set()


def test_a_new_life_confirms_nothing(store: RedisStore, client: Any) -> None:
    token = put(store, A)
    store.positions()
    before = compared(client)

    saved(store, (A, token, record(A, 2)))

    assert compared(client) == before + 1


def test_of_many_tracks_exactly_those_that_others_wrote_conflict(store: RedisStore, other: RedisStore) -> None:
    keys = [named_track(str(number)) for number in range(5_000)]
    tokens = saved(store, *[(key, None, record(key)) for key in keys]).tokens
    theirs = set(keys[::7])
    saved(other, *[(key, tokens[key], record(key, 2)) for key in theirs])

    answer = store.save(
        0, Write({}, tracks=[(key, tokens[key], record(key, 3) if i % 2 else None) for i, key in enumerate(keys)])
    )

    assert isinstance(answer, Conflict)
    assert set(answer.tracks) == theirs


# What is remembered.


def test_tracks_beyond_what_is_remembered_are_compared_once_more() -> None:
    confirmed = Confirmed(2)
    confirmed.accept("by", {A: FIRST, B: FIRST, C: FIRST}, (), same=True)
    assert confirmed.unsure([(A, FIRST), (B, FIRST), (C, FIRST)]) == []

    confirmed.accept("by", {A: SECOND}, (), same=True)

    assert confirmed.unsure([(A, SECOND), (B, FIRST), (C, FIRST)]) == [2, 3]
