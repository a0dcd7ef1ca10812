"""A log from its beginning to its end: the turns of `run` over other adapters, then the wall clock at the end.

While the log is read no wall clock runs, so every end is that of the log's own time; at the end it stands at `as_of`.
"""

from collections.abc import Callable, Iterable, Iterator
from heapq import heappop, heappush
from operator import itemgetter
from typing import NamedTuple

from projector.adapters.embedded import EmbeddedStore
from projector.adapters.short_id_pool import ShortIdPool
from projector.enrich.event import Places
from projector.ledger import Ledger
from projector.life import Life
from projector.ports import NO_CLOCK, Partition, Publisher, Source
from projector.reading import Reading
from projector.route import TrackKey
from projector.rules import Rules
from projector.session import ended_at, is_published
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


class Shown(NamedTuple):
    """A session that is to be shown, and where it is; in the order in which they are shown."""

    created: int
    session_id: str
    ended: int | None
    """Both ms since the epoch; None while it goes on."""
    key: TrackKey


IN_ORDER = itemgetter(0, 1)
"""By createdDate, then id (contract §9)."""


class Replay:
    """One replay: `run`, then `sessions` and `ledgers`.

    `publishes`: the publisher is told of every change, not only of rejects. `reader` is the turns'.
    """

    def __init__(
        self,
        *,
        source: Source,
        store: EmbeddedStore,
        publisher: Publisher,
        rules: Rules,
        places: Places | None,
        started_at: int,
        publishes: bool = False,
        reader: Callable[..., Reading] | None = None,
    ) -> None:
        self._store, self._rules = store, rules
        self._source = source
        self._clock = LogClock()
        self._worker = Worker(
            World(
                source,
                store,
                publisher,
                self._clock,
                rules,
                places=places,
                started_at=started_at,
                sweeps=False,
                publishes=publishes,
                reader=reader,
            )
        )

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
        """The snapshot of every session, by createdDate, then id."""
        shown = self.shown()
        return self.snapshots(shown, short_ids(shown, self._rules.short_id_digits))

    def shown(self) -> list[Shown]:
        """Every session that is published, in order."""
        shown = [
            Shown(session.created or 0, session.id, ended_at(session, self._rules), key)
            for key, track in self._store.sessions()
            for session in track.sessions
            if is_published(session)
        ]
        return sorted(shown, key=IN_ORDER)

    def snapshots(self, shown: list[Shown], ids: Iterable[str | None]) -> Iterator[bytes]:
        """Their snapshots with these short ids; loaded a chunk at a time."""
        given = iter(ids)
        for first in range(0, len(shown), OUTPUT_CHUNK):
            chunk = shown[first : first + OUTPUT_CHUNK]
            loaded = self._store.load([one.key for one in chunk])
            for _, session_id, _, key in chunk:
                stored = loaded[key]
                assert stored is not None
                session = next(one for one in stored.track.sessions if one.id == session_id)
                session.short_id = next(given)
                yield snapshot_of(session, self._rules)


def short_ids(shown: Iterable[tuple[int, str, int | None, object]], digits: int) -> Iterator[str | None]:
    """The short id of each session, unique among those that have not ended when it is created (contract §5, field 7).

    Given out once all is read, by the sessions' own dates: so they follow from the sessions alone, and neither batches
    nor the number of workers play a part.
    """
    pool = ShortIdPool()
    ends: list[tuple[int, str, str]] = []
    for created, session_id, ended, _ in shown:
        while ends and ends[0][0] < created:
            _, gone, short_id = heappop(ends)
            pool.give_back(gone, short_id)
        claimed = pool.claim(session_id, None, digits)
        if claimed is not None and ended is not None:
            heappush(ends, (ended, session_id, claimed))
        yield claimed
