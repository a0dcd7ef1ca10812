"""Redis and Sentinels that speak TLS alone: their certificate is looked at, and a failover goes on the same way."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from projector.adapters.redis import RedisStore, open_store
from projector.adapters.redis_check import check_server
from projector.errors import Unavailable, WrongInput
from projector.ports import Position, Write
from tests.adapters.store_calls import NOW, A, applied_of, put, record, saved
from tests.adapters.test_redis_sentinel import IDENTITY, IMPATIENT, SILENCE_MS, fail_over, positions, replica_has
from tests.services.certificate import Certificate
from tests.services.process import wait_for
from tests.services.redis_groups import RedisCluster, RedisSentinel
from tests.services.run import new_home, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.services.redis import RedisServer


@pytest.fixture(scope="module")
def certificate(services_home: Path) -> Certificate:
    return Certificate(new_home(services_home, "certificate"))


@pytest.fixture
def trusting(certificate: Certificate) -> dict[str, Any]:
    """As `redis_ssl_ca_certs` is handed on."""
    return {**IMPATIENT, "ssl_ca_certs": str(certificate.file)}


@pytest.fixture
def watched(services_home: Path, certificate: Certificate) -> Iterator[RedisSentinel]:
    home = new_home(services_home, "sentinel")
    with running(RedisSentinel(home, silence_ms=SILENCE_MS, password="secret", certificate=certificate)) as watched:
        yield watched


@pytest.fixture
def store(watched: RedisSentinel, trusting: dict[str, Any]) -> Iterator[RedisStore]:
    with closing(open_store(watched.store_url, "ns", identity=IDENTITY, options=trusting)) as store:
        yield store


def test_a_master_that_sentinels_name_is_found_and_so_is_the_next_over_tls(
    store: RedisStore, watched: RedisSentinel, trusting: dict[str, Any]
) -> None:
    token = put(store, A, 1, positions={0: Position(1, NOW)}, expected={0: None})
    assert wait_for(lambda: replica_has(watched, b"1 "), timeout_s=10)
    assert check_server(watched.store_url, trusting).replicas == 1
    fail_over(watched)

    assert positions(store) == [{0: Position(1, NOW)}]
    saved(store, (A, token, record(A, 2)), expected={0: 1})
    assert applied_of(store, A) == 2


def test_a_certificate_that_is_not_trusted_is_not_talked_to(
    watched: RedisSentinel, new_redis: Callable[..., RedisServer], certificate: Certificate
) -> None:
    single = new_redis(certificate=certificate)
    for url in (single.url.partition("?")[0], watched.store_url):
        with pytest.raises(Unavailable, match="certificate verify failed"):
            check_server(url, IMPATIENT)


def test_a_server_with_tls_keeps_state_and_without_tls_it_is_not_reached(
    new_redis: Callable[..., RedisServer], certificate: Certificate, trusting: dict[str, Any]
) -> None:
    url = new_redis(certificate=certificate).url.partition("?")[0]
    with closing(open_store(url, "ns", identity=IDENTITY, options=trusting)) as store:
        put(store, A, 1)
        assert applied_of(store, A) == 1

    with pytest.raises(Unavailable, match="Check that it runs and that redis_url names it"):
        check_server(url.replace("rediss:", "redis:"), IMPATIENT)


def test_a_cluster_with_tls_keeps_every_shard(
    services_home: Path, certificate: Certificate, trusting: dict[str, Any]
) -> None:
    with (
        running(RedisCluster(new_home(services_home, "cluster"), certificate=certificate)) as cluster,
        closing(open_store(cluster.store_url, "ns", identity=IDENTITY, options=trusting, shards=12)) as store,
    ):
        for shard in range(store.shards):
            store.save(shard, Write({0: None}, {0: Position(1, NOW)}))

        assert store.positions() == [{0: Position(1, NOW)}] * store.shards


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1", "redis+sentinel://127.0.0.1:1/projector", "redis://a:1,b:1"])
def test_a_certificate_for_a_url_without_tls_is_told(url: str) -> None:
    with pytest.raises(WrongInput, match="redis_ssl_ca_certs is set, but redis_url asks for no TLS"):
        check_server(url, {"ssl_ca_certs": "ca.pem"})
