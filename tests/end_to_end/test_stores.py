"""A Redis Cluster and a master watched by Sentinel keep the promises that a single Redis keeps, through the loss of
masters (contract §8). The whole of the end-to-end suite on them: make test-stores.
"""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import cli
from tests.end_to_end.promises import assert_end_is_right, assert_ledger_balances, assert_live_equals_replay
from tests.generate import bench_events
from tests.services.redis_groups import RedisCluster, RedisSentinel
from tests.services.run import new_home, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.end_to_end.pipeline import Pipeline
    from tests.services.process import Process

SILENCE_MS = 500
EVENTS = 2000
# So small a batch that there are hundreds: what happens comes in the middle.
SETTINGS = {"partitions": 2, "kafka_max_poll_records": "15", "group_session_timeout": "1500ms"}
IN_TIME_S = 180.0
LOST_WRITES = "reads again what is committed"


@pytest.fixture
def cluster(services_home: Path) -> Iterator[RedisCluster]:
    """Three masters, the first with a replica."""
    with running(
        RedisCluster(new_home(services_home, "redis-cluster"), replicas=1, silence_ms=SILENCE_MS, append_fsync="always")
    ) as cluster:
        yield cluster


@pytest.fixture
def watched(services_home: Path) -> Iterator[RedisSentinel]:
    with running(RedisSentinel(new_home(services_home, "redis-sentinel"), silence_ms=SILENCE_MS)) as watched:
        yield watched


def test_a_cluster_that_loses_writes_and_a_master_comes_to_the_same(
    new_pipeline: Callable[..., Pipeline], cluster: RedisCluster
) -> None:
    pipeline = new_pipeline(**SETTINGS, redis_url=cluster.store_url, shards="6")
    pipeline.feed(bench_events(EVENTS, 300, seed=31))
    with pipeline.started("--until-end", "--workers", "2") as service:
        pipeline.wait_for(50)
        kill_a_worker(service)
        written = cluster.masters[1].written()
        pipeline.wait_for(400)
        cluster.masters[1].cut_back(written)
        pipeline.wait_for(800)
        cluster.masters[0].kill()

        assert service.wait(timeout_s=IN_TIME_S) == 0

    assert LOST_WRITES in service.log.read_text()
    assert_end_is_right(pipeline)
    assert_live_equals_replay(pipeline)


def test_a_master_whose_replica_lacks_writes_is_replaced_and_all_comes_to_the_same(
    new_pipeline: Callable[..., Pipeline], watched: RedisSentinel
) -> None:
    pipeline = new_pipeline(**SETTINGS, redis_url=watched.store_url, shards="2")
    pipeline.feed(bench_events(EVENTS, 300, seed=32))
    with pipeline.started("--until-end", "--workers", "2") as service:
        pipeline.wait_for(50)
        kill_a_worker(service)
        pipeline.wait_for(200)
        watched.cut_off_the_replica()
        pipeline.wait_for(400)
        watched.master.kill()

        assert service.wait(timeout_s=IN_TIME_S) == 0

    assert LOST_WRITES in service.log.read_text()
    assert_end_is_right(pipeline)


def test_what_a_replica_was_waited_for_is_not_lost_with_the_master(
    new_pipeline: Callable[..., Pipeline], watched: RedisSentinel
) -> None:
    pipeline = new_pipeline(**SETTINGS, redis_url=watched.store_url, shards="2", redis_wait_replicas="1")
    pipeline.feed(bench_events(EVENTS, 300, seed=33))
    with pipeline.started() as service:
        pipeline.wait_for(200)
        watched.master.kill()
        # The replica is the master now, and has none itself.
        service.wait_until(lambda: "redis_wait_replicas asks for 1" in service.log.read_text())
    assert LOST_WRITES not in service.log.read_text()
    unguarded = replace(pipeline, settings={**pipeline.settings, "PROJECTOR_REDIS_WAIT_REPLICAS": "0"})

    unguarded.run("--workers", "2")

    expected = assert_end_is_right(unguarded)
    assert assert_ledger_balances(unguarded, expected).read >= EVENTS


def test_doctor_says_that_there_are_fewer_replicas_than_are_waited_for(pipeline: Pipeline) -> None:
    said = cli.projector("doctor", code=2, environment={**pipeline.settings, "PROJECTOR_REDIS_WAIT_REPLICAS": "16"})

    assert b"wrong   redis_wait_replicas is 16, but Redis at " in said.stdout


def kill_a_worker(service: Process) -> None:
    children = Path(f"/proc/{service.pid}/task/{service.pid}/children").read_text().split()
    workers = [pid for pid in map(int, children) if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(workers[-1], signal.SIGKILL)
