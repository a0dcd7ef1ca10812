"""What a seed decides before anything runs: the shape of the world, and which troubles befall it how often."""

from __future__ import annotations

from random import Random

from msgspec import Struct
from msgspec.structs import replace

from tests.simulation.journeys import MINUTE

DAY = 24 * 60 * MINUTE


class Plan(Struct, frozen=True):
    partitions: int = 1
    shards: int = 1
    clustered: bool = False
    """Each shard on a node of its own, which can lose writes alone."""
    workers: int = 1
    sessions: int = 2
    keyed: bool = True
    links: bool = True
    visits: bool = False
    late: bool = False
    retention: int = 7 * DAY
    """ms; where it is short, sessions are forgotten while the history goes on."""
    exactly_once: bool = True
    own_transactional_ids: bool = False
    """A process that takes another's place does not fence it."""
    two_owners: bool = False
    cache_max: int = 100
    batch_max: int = 3
    ticks: int = 100
    weights: dict[str, float] = {}
    """By what can happen at a tick, how likely it is against the others."""

    @property
    def forgets(self) -> bool:
        return self.retention < DAY


CALM = {"run": 80.0, "feed": 10.0, "time": 5.0}
TROUBLES = {
    "crash": 2.0,
    "rebalance": 2.0,
    "pause": 2.0,
    "expel": 1.0,
    "not done": 2.0,
    "answer lost": 2.0,
    "hangs": 1.0,
    "deaf": 1.0,
    "rollback": 1.0,
    "rollback all": 0.5,
    "wipe": 0.3,
    "new partition": 0.3,
    "time out": 0.5,
}

OF_ONE_NODE = ("rollback", "wipe")


def harsh_plan_of(dice: Random) -> Plan:
    """A shape in which all troubles and all means against them meet."""
    return Plan(
        partitions=3,
        shards=dice.choice([1, 2]),
        clustered=True,
        workers=3,
        keyed=dice.random() < 0.3,
        visits=dice.random() < 0.3,
        cache_max=100,
        ticks=240,
        weights=CALM | TROUBLES,
    )


def plan_of_seed(seed: int, dice: Random, *, harsh: bool) -> Plan:
    """Of every third seed that can have it sessions are forgotten soon.

    Whether a session is still held is asked of the clock of a record's own partition, so which records are too late
    follows from how partitions are read side by side where one session is in several (contract §4). Where no node may
    lose writes alone: what it loses here spans the retention, and visits and what names them may be on two nodes.
    """
    plan = harsh_plan_of(dice) if harsh else plan_of(dice)
    if seed % 3 or harsh or not plan.keyed or "new partition" in plan.weights:
        return plan
    weights = {name: weight for name, weight in plan.weights.items() if not (plan.clustered and name in OF_ONE_NODE)}
    return replace(plan, links=False, retention=(45 if seed % 2 else 120) * MINUTE, weights=weights)


def plan_of(dice: Random) -> Plan:
    """Any shape; of the troubles each is left out in half of the seeds, so that they meet in all combinations."""
    if dice.random() < 0.2:
        return harsh_plan_of(dice)
    keyed = dice.random() < 0.5
    factor = dice.choice([0.5, 1.0, 2.0])
    troubles = {name: weight * factor for name, weight in TROUBLES.items() if dice.random() < 0.5}
    two_owners = dice.random() < 0.1
    shards = dice.choice([1, 1, 2, 3])
    return Plan(
        partitions=dice.choice([1, 2, 3]),
        shards=shards,
        clustered=shards > 1 and dice.random() < 0.7,
        workers=dice.choice([1, 2, 3]),
        sessions=dice.choice([1, 2, 4]),
        keyed=keyed,
        links=dice.random() < 0.7,
        visits=dice.random() < 0.5,
        late=dice.random() < 0.5,
        exactly_once=dice.random() < 0.9,
        own_transactional_ids=dice.random() < 0.5,
        two_owners=two_owners,
        cache_max=dice.choice([1, 3, 100]),
        batch_max=dice.choice([1, 3, 5]),
        ticks=dice.choice([60, 120, 240]),
        weights=CALM | troubles,
    )
