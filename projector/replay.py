"""A log from its beginning to its end: the turns of `run` over other adapters, then the wall clock at the end.

While the log is read no wall clock runs, so every end is that of the log's own time; at the end it stands at `as_of`.
"""

from collections.abc import Callable, Iterator

from projector.adapters.embedded import EmbeddedStore
from projector.enrich.event import Places
from projector.ledger import Ledger
from projector.life import Life
from projector.ports import NO_CLOCK, Partition, Publisher, Source
from projector.rules import Rules
from projector.session import is_published
from projector.snapshot import snapshot_of
from projector.turn import Done
from projector.worker import Worker, World

OUTPUT_CHUNK = 1000
"""Tracks loaded at a time when sessions are written out."""


class LogClock:
    """The `Clock` of a replay: before every time until the log is read, then the moment that is asked for."""

    def __init__(self) -> None:
        self.ms = NO_CLOCK

    def now(self) -> int:
        return self.ms


class Replay:
    """One replay: `run`, then `sessions` and `ledgers`."""

    def __init__(
        self,
        *,
        source: Source,
        store: EmbeddedStore,
        publisher: Publisher,
        rules: Rules,
        places: Places | None,
        started_at: int,
    ) -> None:
        self._store, self._rules = store, rules
        self._source = source
        self._clock = LogClock()
        world = World(source, store, publisher, self._clock, rules, places=places, started_at=started_at, sweeps=False)
        self._worker = Worker(world)

    def run(self, *, as_of: int | None, on_progress: Callable[[int], None]) -> None:
        """Read to the end, then let the wall clock stand at `as_of` (ms), or at the newest event if that is later.

        `on_progress` is told how many records each turn read.
        """
        for done in self.steps():
            on_progress(done.records)
        clocks = [mark.clock for mark in self.life.marks.values() if mark.clock is not None]
        self._clock.ms = max([*clocks, *([] if as_of is None else [as_of])], default=NO_CLOCK)
        self._worker.step()
        while not self.life.is_quiet:
            self._worker.step()

    def steps(self) -> Iterator[Done]:
        """Read to the end, a turn at a time."""
        partitions = self._source.partitions()
        while len(self._worker.at_end) < len(partitions):
            done = self._worker.step()
            if done is not None:
                yield done

    @property
    def life(self) -> Life:
        life = self._worker.life
        assert life is not None, "a replay has one life: nothing of it can be in doubt"
        return life

    def ledgers(self) -> dict[Partition, Ledger]:
        return {partition: mark.ledger for partition, mark in self.life.marks.items()}

    def sessions(self) -> Iterator[bytes]:
        """The snapshot of every session, by createdDate, then id; loaded a chunk at a time."""
        order = sorted(
            (session.created or 0, session.id, key)
            for key, track in self._store.sessions()
            for session in track.sessions
            if is_published(session)
        )
        for first in range(0, len(order), OUTPUT_CHUNK):
            chunk = order[first : first + OUTPUT_CHUNK]
            loaded = self._store.load([key for _, _, key in chunk])
            for _, session_id, key in chunk:
                stored = loaded[key]
                assert stored is not None
                yield from (snapshot_of(one, self._rules) for one in stored.track.sessions if one.id == session_id)
