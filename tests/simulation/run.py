"""One seed from its first record to its verdict: ticks of trouble, then calm until all is at rest, twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random

import structlog
from msgspec import Struct
from msgspec.structs import replace

from tests.simulation.checks import judge
from tests.simulation.journeys import MINUTE
from tests.simulation.plan import Plan, plan_of_seed
from tests.simulation.wire import Trouble
from tests.simulation.world import SimWorld

STRETCHES = (1, 1, 2, 3, 5, 8, 20)
REST_ROUNDS = 400
"""So many rounds of 30 boundaries for every worker are far more than any history needs to come to rest."""


class Verdict(Struct):
    plan: Plan
    violations: list[str]
    trace: list[str]


def run(seed: int, *, harsh: bool = False) -> Verdict:
    dice = Random(seed)
    return verdict_of(SimWorld(plan_of_seed(seed, dice, harsh=harsh), dice), _live)


def verdict_of(world: SimWorld, live: Callable[[SimWorld], list[str]]) -> Verdict:
    """Let a world live, and end it whatever comes."""
    with quiet():
        try:
            violations = live(world)
        finally:
            world.close()
    return Verdict(world.plan, violations, world.trace)


@contextmanager
def quiet() -> Iterator[None]:
    """Troubles are what this is about: nobody needs to be told of each."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    try:
        yield
    finally:
        structlog.configure(**before)


def _live(world: SimWorld) -> list[str]:
    names, weights = list(world.plan.weights), list(world.plan.weights.values())
    for _ in range(world.plan.ticks):
        happen(world, world.dice.choices(names, weights)[0])
        failed = failures(world)
        if failed:
            return failed
    return calm(world)


def happen(world: SimWorld, what: str) -> None:
    dice = world.dice
    slot = dice.choice(list(world.processes))
    wire = world.processes[slot].wire
    match what:
        case "run":
            world.run(slot, dice.choice(STRETCHES))
        case "feed":
            world.feed()
        case "time":
            world.time.ms += dice.choice([1, 20 * MINUTE, 31 * MINUTE])
        case "crash":
            world.crash(slot)
        case "rebalance":
            world.rebalance()
        case "pause":
            world.pause(slot)
        case "expel":
            world.expel()
        case "not done" | "answer lost" | "hangs":
            wire.trouble = Trouble[what.upper().replace(" ", "_")]
        case "deaf":
            wire.is_deaf = True
        case "rollback" | "rollback all":
            world.roll_back(everywhere=what == "rollback all")
        case "wipe":
            world.wipe()
        case "new partition":
            world.add_partition()
        case "time out":
            world.broker.time_out_all()
        case _:
            raise AssertionError(what)


def calm(world: SimWorld) -> list[str]:
    """No trouble any more: whoever stood still wakes with old ideas, the dead are missed, all comes to rest."""
    for process in world.processes.values():
        process.paused = False
        process.wire.trouble, process.wire.is_deaf = None, False
    for _ in range(20):
        world.run(world.dice.choice(list(world.processes)), world.dice.choice(STRETCHES))
    world.plan = replace(world.plan, two_owners=False)
    world.expel()
    found = _come_to_rest(world) or judge(world, thoroughly=False)
    if found:
        return found
    world.last_at_rest = next(reversed(world.broker.read_committed()), None)
    world.feed()
    world.time.ms += 120 * MINUTE
    return _come_to_rest(world) or judge(world, thoroughly=True)


def _come_to_rest(world: SimWorld) -> list[str]:
    """Why it does not; nothing where it does."""
    for _ in range(REST_ROUNDS):
        for slot in world.processes:
            world.run(slot, 30)
        if world.broker.joining:
            world.rebalance()
        if failed := failures(world):
            return failed
        if is_at_rest(world):
            world.note(f"at rest at {world.time.ms}")
            return []
    return ["it does not come to rest"]


def failures(world: SimWorld) -> list[str]:
    """Processes that died of something else than a crash."""
    return [
        f"{process.actor.name} died of {process.actor.failure!r}"
        for process in world.processes.values()
        if process.actor.failure is not None
    ]


def is_at_rest(world: SimWorld) -> bool:
    """Every partition is read to its end by a worker that has nothing left to do, and nothing waits in the store."""
    broker = world.broker
    owned: set[int] = set()
    for process in world.processes.values():
        life = process.worker.life if process.worker is not None else None
        if life is None or life.generation != broker.generation:
            if broker.assignment.get(process.actor.name):
                return False
            continue
        if not life.is_quiet or any(life.read[one] < len(broker.log[one]) for one in life.partitions):
            return False
        owned |= set(life.partitions)
    shards = [world.nodes.shard(one) for one in range(world.nodes.shards)]
    return len(owned) == len(broker.log) and not any(
        shard.notes or any(at < world.time.ms for at in shard.due.values()) for shard in shards
    )
