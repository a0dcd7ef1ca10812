"""Short histories, and one trouble at every boundary of the worker that lives through them: nothing is left to chance."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from random import Random

from msgspec import Struct

from tests.simulation.journeys import BASE, MINUTE, Line, heartbeat, raw, talk, visited
from tests.simulation.plan import Plan
from tests.simulation.run import Verdict, calm, failures, verdict_of
from tests.simulation.wire import Trouble
from tests.simulation.world import SimWorld

FAR = 150
"""Boundaries that are enough for a worker to read and publish a short history."""


class History(Struct, frozen=True):
    name: str
    plan: Plan
    lines: tuple[tuple[int, Line], ...]
    """(partition, record)."""
    later: tuple[tuple[int, Line], ...] = ()
    """Written when the trouble has come."""
    before: tuple[tuple[int, Line], ...] = ()
    """Read and published in peace, long before."""


def conversation_in(partition: int) -> tuple[tuple[int, Line], ...]:
    """A session, and a conversation of two records that names it."""
    return (
        (0, visited("web-0", "first", BASE)),
        (partition, talk("conv-1", "p1", BASE + 1, named="web-0")),
        (partition, talk("conv-1", "p2", BASE + 2)),
    )


HISTORIES = (
    History(
        "one session ends",
        Plan(partitions=1, workers=2, links=False),
        (
            (0, visited("web-0", "first", BASE)),
            (0, Line("web-0", b"{")),
            (0, visited("web-0", "second", BASE + MINUTE)),
            (0, visited("web-1", "third", BASE + 32 * MINUTE)),
        ),
    ),
    History(
        "a conversation in another shard and partition",
        Plan(partitions=2, shards=2, workers=2),
        conversation_in(1),
    ),
    History(
        "a conversation in another shard, in one batch with its session",
        Plan(partitions=1, shards=2, workers=2),
        conversation_in(0),
    ),
    History(
        "one session in two partitions",
        Plan(partitions=2, workers=2, keyed=False),
        (
            (0, visited("web-0", "first", BASE)),
            (1, heartbeat("web-0", BASE + MINUTE)),
            (1, visited("web-0", "second", BASE + 40 * MINUTE)),
        ),
    ),
    History(
        "a visitor comes back when the last visit has ended",
        Plan(partitions=1, workers=2, links=False),
        ((0, visited("web-0", "second", BASE + 31 * MINUTE)),),
        later=((0, raw("someone", "third", BASE + 32 * MINUTE)),),
        before=((0, raw("someone", "first", BASE)),),
    ),
)
TWO_OF_A_CONVERSATION = History(
    "two workers and a conversation that names a session in another shard",
    Plan(partitions=2, shards=2, clustered=True, workers=2, keyed=False),
    (
        (0, talk("conv-1", "p1", BASE + 1)),
        (1, visited("web-0", "first", BASE)),
        (1, talk("conv-1", "p2", BASE + 2, named="web-0")),
    ),
)
THREE_SESSIONS = History(
    "three sessions",
    Plan(partitions=1, workers=2, links=False),
    tuple((0, visited(f"web-{number}", f"first-{number}", BASE)) for number in range(3)),
)


OF_ANOTHER_HOME = History(
    "a record of a session whose home is another partition",
    Plan(partitions=2, workers=2, keyed=False, links=False),
    ((1, visited("web-0", "second", BASE + MINUTE)),),
    before=((0, visited("web-0", "first", BASE)),),
)


def _crash(world: SimWorld) -> None:
    world.crash(0)


def _not_done(world: SimWorld) -> None:
    world.processes[0].wire.trouble = Trouble.NOT_DONE


def _answer_lost(world: SimWorld) -> None:
    world.processes[0].wire.trouble = Trouble.ANSWER_LOST


def _hangs(world: SimWorld) -> None:
    world.processes[0].wire.trouble = Trouble.HANGS


def _rebalance(world: SimWorld) -> None:
    world.rebalance(without=world.processes[0].actor.name)


def _zombie(world: SimWorld) -> None:
    """It stands still, another takes over and lets the ends come; then it wakes."""
    world.processes[0].paused = True
    world.rebalance(without=world.processes[0].actor.name)
    world.run(1, FAR)
    world.time.ms += 31 * MINUTE
    world.run(1, FAR)


def _crash_and_loss(world: SimWorld) -> None:
    world.nodes.nodes[0].lose(1)
    world.facts.store_lost = True
    world.crash(0)


def _loss_of_all(world: SimWorld) -> None:
    for node in world.nodes.nodes:
        node.lose(100)
    world.facts.store_lost = True


def _wipe(world: SimWorld) -> None:
    for node in world.nodes.nodes:
        node.wipe(restarts=False)
    world.facts.store_lost = True


TROUBLES: dict[str, Callable[[SimWorld], None]] = {
    "crash": _crash,
    "not done": _not_done,
    "answer lost": _answer_lost,
    "hangs": _hangs,
    "rebalance": _rebalance,
    "zombie": _zombie,
    "crash, and the store loses its last write": _crash_and_loss,
    "the store loses its last writes": _loss_of_all,
    "the store is wiped": _wipe,
}


def every_crash_point(history: History, trouble: str, first: int = 1) -> Iterator[tuple[int, Verdict]]:
    """(boundary, what came of it), until the history is over before the trouble comes."""
    at = first
    while True:
        world = _world(history)
        is_over = False

        def live(world: SimWorld, at: int = at) -> list[str]:
            nonlocal is_over
            _begin(world, history)
            world.run(0, at)
            is_over = _is_through(world)
            TROUBLES[trouble](world)
            for partition, line in history.later:
                world.append(partition, line)
            world.run(0, FAR)
            return failures(world) or calm(world)

        yield at, verdict_of(world, live)
        if is_over:
            return
        at += 1


def every_loss_after(history: History, where: str, seed: int) -> Iterator[tuple[int, Verdict]]:
    """A crash when the worker first stands at `where`; then, at every boundary of the next, a loss of the last write.

    `seed` says how many records each poll brings.
    """
    at = 1
    while True:
        world = _world(history, seed)
        is_over = False

        def live(world: SimWorld, at: int = at) -> list[str]:
            nonlocal is_over
            _begin(world, history)
            while world.processes[0].actor.where != where:
                world.run(0, 1)
            world.crash(0)
            _give_all(world, history)
            world.run(0, at)
            is_over = _is_through(world)
            _crash_and_loss(world)
            return failures(world) or calm(world)

        yield at, verdict_of(world, live)
        if is_over:
            return
        at += 1


def every_loss_after_a_conflict(history: History, node: int) -> Iterator[tuple[str, Verdict]]:
    """When the first worker is about to save, the second reads all and writes what that one has folded from; at every
    boundary from there on a node loses its last writes, one or two.
    """
    for at, writes in itertools.product(range(1, 16), (1, 2)):

        def live(world: SimWorld, at: int = at, writes: int = writes) -> list[str]:
            first, second = (world.processes[slot].actor for slot in (0, 1))
            world.broker.assign({first.name: (0,), second.name: (1,)})
            for partition, line in history.lines:
                world.append(partition, line)
            for where in ("load", "save"):  # Not before it has taken its place in the store.
                while not first.where.startswith(where):
                    world.run(0, 1)
            world.run(1, FAR)
            world.run(0, at)
            world.nodes.nodes[node].lose(writes)
            world.facts.store_lost = True
            return failures(world) or calm(world)

        yield f"{writes} lost {at} later", verdict_of(SimWorld(history.plan, Random(6)), live)


def every_loss_after_a_note_for_others(history: History) -> Iterator[tuple[str, Verdict]]:
    """The first worker saves all, and loses the second partition before it has committed; when the second worker has
    read that one again, at every boundary a node loses its last writes, one to three.
    """
    for at, writes in itertools.product(range(10, 40), (1, 2, 3)):

        def live(world: SimWorld, at: int = at, writes: int = writes) -> list[str]:
            first, second = (world.processes[slot].actor for slot in (0, 1))
            _begin(world, history, MINUTE)
            while first.where != "produce":
                world.run(0, 1)
            world.broker.assign({first.name: (0,), second.name: (1,)})
            world.run(1, at)
            world.nodes.nodes[0].lose(writes)
            world.facts.store_lost = True
            return failures(world) or calm(world)

        yield f"{writes} lost {at} later", verdict_of(_world(history), live)


def _world(history: History, seed: int = 7) -> SimWorld:
    world = SimWorld(history.plan, Random(seed))
    _give_all(world, history)
    return world


def _begin(world: SimWorld, history: History, after: int = 45 * MINUTE) -> None:
    """Write the history, its first worker being anywhere between two turns, and let time pass."""
    for partition, line in history.before:
        world.append(partition, line)
    if history.before:
        world.run(0, FAR)
    for partition, line in history.lines:
        world.append(partition, line)
    world.time.ms = BASE + after


def _give_all(world: SimWorld, history: History) -> None:
    """The first worker gets all partitions."""
    first, second = (world.processes[slot].actor.name for slot in (0, 1))
    world.broker.assign({first: tuple(range(history.plan.partitions)), second: ()})


def _is_through(world: SimWorld) -> bool:
    worker = world.processes[0].worker
    life = worker.life if worker is not None else None
    if life is None:
        return False
    return life.is_quiet and all(life.committed.get(one, 0) == len(held) for one, held in enumerate(world.broker.log))
