"""What is checked before a namespace is used, and how it is said."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from projector.adapters.redis import open_store
from projector.adapters.redis_check import check_server
from projector.adapters.redis_place import place_of
from projector.errors import ProjectorError, Unavailable, WrongInput
from tests.adapters.store_calls import A, applied_of, put
from tests.services.process import free_port

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.services.redis import RedisServer

    NewRedis = Callable[..., RedisServer]

IDENTITY = {"cluster_id": "cluster-1", "topic_id": "topic-1"}


def refusal(kind: type[ProjectorError], url: str, namespace: str = "ns", **rest: Any) -> str:
    """What opening says; never more than two lines."""
    with pytest.raises(kind) as refused:
        open_store(url, namespace, identity=rest.pop("identity", IDENTITY), **rest)
    assert str(refused.value).count("\n") <= 1
    return str(refused.value)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("redis://user:secret@host:1234/5", "host:1234/5"),
        ("redis://:secret@host", "host:6379"),
        ("rediss://host/", "host:6379"),
        ("unix://user:secret@/run/redis.sock?db=2", "/run/redis.sock"),
        ("redis://:sec/ret@host:port/0", "redis_url"),
        ("redis://:secret@host,other:7001/", "host:6379,other:7001"),
        ("redis+sentinel://user:secret@host,[::1]:7/service/5", "host:26379,[::1]:7/service/5"),
        ("redis+sentinel://:secret@host:1/", "redis_url"),
    ],
)
def test_a_place_is_shown_without_its_password(url: str, place: str) -> None:
    assert place_of(url) == place


def test_facts_are_told_of_a_server_that_will_do(new_redis: NewRedis) -> None:
    server = new_redis(maxmemory="64mb")

    facts = check_server(server.url)

    assert facts.where == f"127.0.0.1:{server.port}/0"
    assert facts.version.startswith(("7.", "8.", "9."))
    assert (facts.clustered, facts.append_only, facts.maxmemory) == (False, True, 64 << 20)


@pytest.mark.parametrize("given", ["", ":wrong-secret@", "someone:wrong-secret@"])
def test_a_wrong_password_is_wrong_input_and_not_repeated(new_redis: NewRedis, given: str) -> None:
    server = new_redis(password="right-secret")

    said = refusal(WrongInput, f"redis://{given}127.0.0.1:{server.port}/0")

    assert "redis_url" in said
    assert f"127.0.0.1:{server.port}" in said
    assert "secret" not in said


def test_a_right_password_opens(new_redis: NewRedis) -> None:
    with closing(open_store(new_redis(password="right-secret").url, "ns", identity=IDENTITY)) as store:
        put(store, A)

        assert applied_of(store, A) == 1


def test_a_server_that_evicts_is_refused_with_what_to_do(new_redis: NewRedis) -> None:
    said = refusal(WrongInput, new_redis(maxmemory_policy="allkeys-lru").url)

    assert "maxmemory-policy allkeys-lru" in said
    assert "CONFIG SET maxmemory-policy noeviction" in said


def test_a_server_that_is_not_there_is_unavailable() -> None:
    port = free_port()

    said = refusal(Unavailable, f"redis://:secret@127.0.0.1:{port}/0")

    assert f"127.0.0.1:{port}" in said
    assert "secret" not in said


@pytest.mark.parametrize(
    "url", ["http://host", "localhost:6379", "redis://:secret@host:port/0", "redis://host/0?socket_timeout=secret"]
)
def test_a_url_that_is_none_is_wrong_input_and_not_repeated(url: str) -> None:
    said = refusal(WrongInput, url)

    assert "redis_url" in said
    assert "secret" not in said


def test_several_servers_that_are_no_cluster_are_wrong_input(redis_url: str) -> None:
    server = redis_url.removeprefix("redis://").partition("/")[0]

    assert "no cluster: name one" in refusal(WrongInput, f"redis://{server},{server}/0")


def test_an_option_that_is_none_is_wrong_input() -> None:
    assert "redis_" in refusal(WrongInput, "redis://127.0.0.1", options={"no_such_option": 1})


def test_a_database_that_is_not_there_is_wrong_input(redis_url: str) -> None:
    assert "out of range" in refusal(WrongInput, redis_url.rpartition("/")[0] + "/9999")


@pytest.mark.parametrize("namespace", ["", "a{b", "a}b"])
def test_a_namespace_without_a_name_or_with_braces_is_wrong_input(namespace: str) -> None:
    assert "namespace" in refusal(WrongInput, "redis://127.0.0.1", namespace)
