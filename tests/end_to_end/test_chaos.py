"""The one-minute form of `make chaos`: workers are killed under load, and the broker and Redis with it (contract §8, law 2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.chaos.faults import KILLS
from tests.chaos.run import Options, Run
from tests.chaos.world import world_on

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.services.kafka import Kafka
    from tests.services.redis import RedisServer


def test_nothing_is_lost_and_nothing_counts_twice_while_everything_is_killed(
    breakable_kafka: Kafka, new_redis: Callable[..., RedisServer], tmp_path: Path, delivery: str
) -> None:
    faults = frozenset([*KILLS, "broker killed", "Redis cut back"])
    options = Options(seconds=15, workers=2, seed=1, rate=30, faults=faults, delivery=delivery)
    with world_on(
        tmp_path, breakable_kafka, new_redis(), workers=options.workers, timeout_s=4, delivery=delivery
    ) as world:
        report = Run(world, options, print).run()

    print(*report.table(), report.facts, sep="\n")
    assert report.breaches == []
    assert {"worker killed", "broker killed", "Redis cut back"} <= {one.fault for one in report.recoveries}
