"""What a namespace is recorded for, who is refused, and what a higher generation of the topic may take over."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
import redis

from projector.adapters.redis import open_store
from projector.errors import ProjectorError, WrongInput

if TYPE_CHECKING:
    from collections.abc import Callable

IDENTITY = {"cluster": "cluster-1", "topic": "topic", "topic id": "topic-1", "group": "group-1"}


def refusal(kind: type[ProjectorError], url: str, namespace: str, **rest: Any) -> str:
    """What opening says; never more than two lines."""
    with pytest.raises(kind) as refused:
        open_store(url, namespace, identity=rest.pop("identity", IDENTITY), **rest)
    assert str(refused.value).count("\n") <= 1
    return str(refused.value)


def test_a_namespace_is_opened_again_by_those_it_was_made_for(
    redis_url: str, unique_name: Callable[[str], str]
) -> None:
    namespace = unique_name("ns")
    with closing(open_store(redis_url, namespace, identity=IDENTITY, shards=3)) as first:
        assert first.shards == 3

    with closing(open_store(redis_url, namespace, identity=IDENTITY)) as again:
        assert again.shards == 3


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"identity": IDENTITY | {"topic id": "topic-2"}}, "topic id topic-1, not topic-2"),
        ({"identity": IDENTITY | {"topic id": "topic-2"}}, "Set topic_generation = 1: sessions stay"),
        ({"identity": IDENTITY | {"cluster": "cluster-2"}}, "topic_generation = 1 if the sessions of that topic"),
        ({"identity": IDENTITY | {"group": "group-2"}}, "or group_id = group-1 if this service is to go on"),
        ({"shards": 2}, "shards 1, not 2.\nSet shards = 1, or 0"),
    ],
)
def test_a_namespace_that_was_made_for_something_else_is_refused(
    redis_url: str, unique_name: Callable[[str], str], wrong: dict[str, Any], said: str
) -> None:
    namespace = unique_name("ns")
    open_store(redis_url, namespace, identity=IDENTITY).close()

    refused = refusal(WrongInput, redis_url, namespace, **wrong)

    assert said in refused
    assert namespace in refused


@pytest.mark.parametrize(("name", "ours"), [("format", 2), ("fold", 1)])
def test_a_namespace_of_another_version_is_refused(
    redis_url: str, unique_name: Callable[[str], str], name: str, ours: int
) -> None:
    namespace = unique_name("ns")
    open_store(redis_url, namespace, identity=IDENTITY).close()
    with redis.Redis.from_url(redis_url) as client:
        client.hset(f"{namespace}:meta", name, "99")

    refused = refusal(WrongInput, redis_url, namespace)

    assert f"was written by a newer version of the projector ({name} 99, not {ours})" in refused
    assert "Run that version, or set another namespace" in refused


NEXT = IDENTITY | {"topic id": "topic-2", "topic generation": "1"}


def test_a_higher_generation_takes_a_namespace_over_for_the_topic_that_was_made_anew(
    redis_url: str, unique_name: Callable[[str], str]
) -> None:
    namespace = unique_name("ns")
    open_store(redis_url, namespace, identity=IDENTITY).close()

    open_store(redis_url, namespace, identity=NEXT).close()

    open_store(redis_url, namespace, identity=NEXT).close()
    assert "goes on with generation 1 of its topic, not 0.\nSet topic_generation = 1" in refusal(
        WrongInput, redis_url, namespace
    )


@pytest.mark.parametrize("wrong", [{"group": "group-2"}, {"shards": 2}])
def test_a_higher_generation_takes_over_for_another_topic_only(
    redis_url: str, unique_name: Callable[[str], str], wrong: dict[str, Any]
) -> None:
    namespace = unique_name("ns")
    open_store(redis_url, namespace, identity=IDENTITY).close()
    shards = wrong.pop("shards", None)

    refused = refusal(WrongInput, redis_url, namespace, identity=NEXT | wrong, shards=shards)

    assert "1, not " in refused


def test_what_is_refused_is_not_recorded_in_part(redis_url: str, unique_name: Callable[[str], str]) -> None:
    namespace = unique_name("ns")
    open_store(redis_url, namespace, identity=IDENTITY).close()
    with redis.Redis.from_url(redis_url) as client:
        recorded = client.hgetall(f"{namespace}:meta")

        refusal(WrongInput, redis_url, namespace, identity=IDENTITY | {"topic": "other", "later": "name"})

        assert client.hgetall(f"{namespace}:meta") == recorded


def test_who_only_looks_records_nothing(redis_url: str, unique_name: Callable[[str], str]) -> None:
    namespace = unique_name("ns")

    with closing(open_store(redis_url, namespace, identity=IDENTITY, records=False)) as store:
        assert store.positions() == [{}]

    with redis.Redis.from_url(redis_url) as client:
        assert list(client.scan_iter(f"{namespace}*")) == []


def test_a_namespace_that_was_wiped_is_recorded_again_by_the_next_life_and_not_by_another_service(
    redis_url: str, unique_name: Callable[[str], str]
) -> None:
    namespace = unique_name("ns")
    with (
        closing(open_store(redis_url, namespace, identity=IDENTITY)) as store,
        redis.Redis.from_url(redis_url) as client,
    ):
        client.delete(f"{namespace}:meta")
        store.positions()
        refusal(WrongInput, redis_url, namespace, identity=IDENTITY | {"topic": "other"})
        client.delete(f"{namespace}:meta")
        open_store(redis_url, namespace, identity=IDENTITY | {"topic": "other"}).close()

        with pytest.raises(WrongInput, match="was made for topic other, not topic"):
            store.positions()
