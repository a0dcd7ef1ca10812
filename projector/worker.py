"""One worker: poll, and for each batch a turn; after a doubt or a new assignment a new life.

`run` and `replay` share it.
"""

from collections.abc import Callable

import structlog
from msgspec import Struct

from projector.cache import CacheBounds
from projector.enrich.event import Places
from projector.errors import Doubt, Unavailable
from projector.life import Life, Start, begin
from projector.ports import Batch, Clock, Partition, Publisher, Source, Store
from projector.reading import Reading
from projector.rules import Rules
from projector.turn import Done, Turn

log = structlog.get_logger()


class World(Struct, frozen=True):
    """What a worker works with."""

    source: Source
    store: Store
    publisher: Publisher
    clock: Clock
    rules: Rules
    start: Start = Start()
    cache_max: CacheBounds = CacheBounds()
    sweeps: bool = True
    """Delete what is no longer held; a replay shows every session."""
    publishes: bool = True
    """Make snapshots of what changed; a replay that shows sessions at its end needs none before."""
    reader: Callable[..., Reading] | None = None
    """What reads a batch; a replay by several workers has read it already when its turn comes."""
    places: Places | None = None
    """Where IP addresses are; without it no geolocation is derived."""
    started_at: int | None = None
    """The wall clock at start (ms), where that is not what `clock` says."""


class Worker:
    """Holds the life it is in, or none."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._started_at = world.clock.now() if world.started_at is None else world.started_at
        self._turn: Turn | None = None
        self.life: Life | None = None
        self.at_end: frozenset[Partition] = frozenset()
        """Partitions that the last turn found read to their end."""
        self.doubts = 0
        """Since a turn that had records was last finished."""

    def step(self) -> Done | None:
        """Poll once and do what follows; None if that was no turn: a life began or ended, or nothing is assigned.

        Raises:
            Unavailable: something does not answer; the next step begins a new life.
            WrongInput: the log or the store is not what it was: going on would be wrong.
        """
        try:
            return self._step(self._world.source.poll())
        except Doubt as doubt:
            log.warning("begins a new life", why=str(doubt))
            self.life = None
            self.doubts += 1
            return None
        except Unavailable:
            self.life = None
            raise

    def _step(self, batch: Batch) -> Done | None:
        life = self.life
        if life is None or self._turn is None or batch.generation != life.generation:
            self.life = None
            if batch.assigned:
                self._begin(batch)
            return None
        done = self._turn.run(batch)
        self.at_end = batch.at_end
        if done.records:
            self.doubts = 0
        return done

    def _begin(self, batch: Batch) -> None:
        world = self._world
        # First the producer: it ends what an earlier life left pending, which the committed positions wait for.
        world.publisher.renew()
        life = begin(world.source, world.store, batch.assigned, batch.generation, world.start)
        self._turn = Turn(
            life=life,
            store=world.store,
            publisher=world.publisher,
            clock=world.clock,
            rules=world.rules,
            started_at=self._started_at,
            cache_max=world.cache_max,
            sweeps=world.sweeps,
            publishes=world.publishes,
            reader=world.reader,
            places=world.places,
        )
        self.life = life
