from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from projector.adapters.redis import RedisStore, open_store
from tests.adapters.store_contract import OwnershipContract, StoreContract

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

IDENTITY = {"cluster_id": "cluster-1", "topic_id": "topic-1"}


class TestRedis(StoreContract, OwnershipContract):
    @pytest.fixture
    def store(self, redis_url: str, unique_name: Callable[[str], str]) -> Iterator[RedisStore]:
        store = open_store(redis_url, unique_name("store"), identity=IDENTITY)
        yield store
        store.close()

    @pytest.fixture
    def sharded(self, redis_url: str, unique_name: Callable[[str], str]) -> Iterator[RedisStore]:
        store = open_store(redis_url, unique_name("store"), identity=IDENTITY, shards=4)
        yield store
        store.close()
