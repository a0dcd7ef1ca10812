"""The simulated world: broker, store and clock, the processes that live in it, and all that can befall them."""

from __future__ import annotations

from random import Random

from msgspec import Struct

from projector.cache import CacheBounds
from projector.errors import Unavailable
from projector.rules import Rules
from projector.worker import Worker
from projector.worker import World as Ports
from tests.simulation.actors import Actor
from tests.simulation.broker import Broker, Published
from tests.simulation.journeys import BASE, LONG_AGO, PASSING, Journeys, Line
from tests.simulation.kafka import SimClock, SimPublisher, SimSource, SimTime
from tests.simulation.plan import Plan
from tests.simulation.store import Nodes, SimStore
from tests.simulation.wire import Wire

PARTITIONS_MAX = 5


class Process(Struct):
    actor: Actor
    wire: Wire
    worker: Worker | None = None
    paused: bool = False


class Facts(Struct):
    """What happened that the contract makes exceptions for."""

    store_lost: bool = False
    two_owners: bool = False
    is_unkeyed: bool = False
    """So that events of one session are in several partitions."""


class SimWorld:
    def __init__(self, plan: Plan, dice: Random) -> None:
        self.plan, self.dice, self.rules = plan, dice, Rules(short_id_digits=4, retention=plan.retention)
        self.trace: list[str] = []
        self.facts = Facts(is_unkeyed=not plan.keyed)
        self.broker = Broker(plan.partitions)
        self.nodes = Nodes(plan.shards, clustered=plan.clustered)
        self.time = SimTime(BASE)
        self.journeys = Journeys(
            dice,
            sessions=plan.sessions,
            links=plan.links,
            visits=plan.visits,
            late=plan.late and plan.keyed,
            forgets_after=plan.retention if plan.forgets else None,
        )
        self.last_at_rest: Published | None = None
        """What a committed reader saw last when all came to rest after the troubles."""
        self.processes: dict[int, Process] = {}
        """By slot; a process that dies is followed by another in its slot."""
        self._dead: set[str] = set()
        self._started = 0
        for slot in range(plan.workers):
            self.start(slot)
        self.rebalance()

    # Processes.

    def start(self, slot: int) -> None:
        self._started += 1
        actor = Actor(f"w{slot}.{self._started}", lambda _: self._serve(process))
        process = Process(actor, Wire(actor, self.trace))
        self.processes[slot] = process
        self.broker.joining.append(actor.name)

    def _serve(self, process: Process) -> None:
        """As the service does it: a worker steps on, whatever it is told is not available."""
        wire, plan = process.wire, self.plan
        slot = process.actor.name if plan.own_transactional_ids else process.actor.name.partition(".")[0]
        source = SimSource(self.broker, wire, self.dice, plan.batch_max)
        publisher = SimPublisher(self.broker, wire, source, self.rules, slot)
        publisher.is_transactional = plan.exactly_once
        store, clock = SimStore(self.nodes, wire), SimClock(self.time, source)
        process.worker = Worker(
            Ports(source, store, publisher, clock, self.rules, cache_max=CacheBounds(tracks=plan.cache_max))
        )
        while True:
            try:
                process.worker.step()
            except Unavailable:
                wire.boundary("waits a second")

    def crash(self, slot: int) -> None:
        process = self.processes[slot]
        self.note(f"{process.actor.name} is killed at {process.actor.where!r}")
        process.actor.kill()
        self._dead.add(process.actor.name)
        self.start(slot)
        if self.dice.random() < 0.7:
            self.rebalance()

    def run(self, slot: int, boundaries: int) -> None:
        process = self.processes[slot]
        if not process.paused:
            process.actor.advance(boundaries)

    # What can happen at a tick.

    def rebalance(self, without: str | None = None) -> None:
        """A new generation, of the live and those that are not known to be dead, maybe in other hands."""
        broker, dice = self.broker, self.dice
        names = [one for one in dict.fromkeys((*broker.assignment, *broker.joining)) if one != without]
        owned: dict[str, list[int]] = {name: [] for name in names}
        for partition in range(len(broker.log)) if names else ():
            owner = dice.choice(names)
            owned[owner].append(partition)
            if self.plan.two_owners and len(names) > 1 and dice.random() < 0.15:
                second = dice.choice(names)
                if second != owner:
                    owned[second].append(partition)
                    self.facts.two_owners = True
        self.broker.assign({name: tuple(sorted(partitions)) for name, partitions in owned.items()})
        self.note(f"generation {broker.generation}: {broker.assignment}")

    def expel(self) -> None:
        """The group learns who is dead."""
        for assigned in (self.broker.assignment, self.broker.joining):
            for name in self._dead:
                if name in assigned:
                    assigned.pop(name) if isinstance(assigned, dict) else assigned.remove(name)
        self.rebalance()

    def pause(self, slot: int) -> None:
        process = self.processes[slot]
        process.paused = not process.paused
        self.note(f"{process.actor.name} {'stands still' if process.paused else 'wakes'}")
        if process.paused and len(self.processes) > 1 and self.dice.random() < 0.8:
            self.rebalance(without=process.actor.name)

    def feed(self) -> None:
        for _ in range(self.dice.randint(1, 4)):
            self.time.ms += self.dice.choice(PASSING)
            line = self.journeys.next(self.time.ms)
            partition = self._partition_of(line)
            if not self.broker.log[partition] and line.moves_clock_to < BASE - LONG_AGO // 2:
                continue  # Where it is the first, nothing makes it late.
            self.append(partition, line)

    def _partition_of(self, line: Line) -> int:
        if line.is_ordered:
            return sum(line.key.encode()) % self.plan.partitions
        partitions = len(self.broker.log)
        return sum(line.key.encode()) % partitions if self.plan.keyed else self.dice.randrange(partitions)

    def append(self, partition: int, line: Line) -> None:
        self.broker.append(partition, line.value, self.time.ms, line.moves_clock_to)
        self.note(f"{partition}/{len(self.broker.log[partition]) - 1}: {(line.value or b'tombstone').decode()}")

    def add_partition(self) -> None:
        if len(self.broker.log) < PARTITIONS_MAX:
            self.facts.is_unkeyed = True  # Keys move to other partitions.
            self.broker.add_partition()
            self.note(f"{len(self.broker.log)} partitions")
            self.rebalance()

    def roll_back(self, *, everywhere: bool) -> None:
        for node in self.nodes.nodes if everywhere else [self.dice.choice(self.nodes.nodes)]:
            lost = node.lose(self.dice.randint(1, 12))
            self.facts.store_lost = self.facts.store_lost or bool(lost)
            self.note(f"shards {list(node.shards)} lost their last {lost} writes")

    def wipe(self) -> None:
        node = self.dice.choice(self.nodes.nodes)
        self.facts.store_lost = True
        restarts = self.dice.random() < 0.5
        node.wipe(restarts=restarts)
        self.note(f"shards {list(node.shards)} were wiped, {'with' if restarts else 'without'} a restart")

    def note(self, what: str) -> None:
        self.trace.append(f"-- {what}")

    def close(self) -> None:
        for process in self.processes.values():
            process.actor.kill()
