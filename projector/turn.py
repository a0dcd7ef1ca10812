"""One turn of a worker, steps 1 to 6 of the protocol (design §3); the order of effects is written here, once.

    poll -> read -> load -> fold -> save -> publish -> commit

State is saved before its snapshot is published, and positions move only with the transaction that publishes. A turn
that raises `Doubt` leaves a life that must not be used again.
"""

from collections import Counter
from collections.abc import Callable

import msgspec
from msgspec import Struct

from projector import deadlines
from projector.cache import UNWRITTEN, Cache, CacheBounds
from projector.draft import Draft
from projector.drafting import Drafting
from projector.enrich.event import Places
from projector.life import Life, catch_up
from projector.ports import (
    NO_CLOCK,
    Batch,
    Change,
    Clock,
    Committed,
    Partition,
    Publisher,
    Refused,
    Store,
    Token,
)
from projector.reading import Reading, read
from projector.route import TrackKey
from projector.rules import Rules
from projector.saving import Saving
from projector.short_ids import ShortIds
from projector.telling import account, changes_of


class Done(Struct):
    """What a turn did, for those who watch."""

    records: int = 0
    snapshots: int = 0
    rejects: int = 0
    ends: int = 0
    conflicts: int = 0
    without_short_id: int = 0
    cuts: Counter[str] = msgspec.field(default_factory=Counter)
    track_bytes: int = 0
    """Of the records of the tracks that took part."""


class Turn:
    """The turns of one life."""

    def __init__(
        self,
        *,
        life: Life,
        store: Store,
        publisher: Publisher,
        clock: Clock,
        rules: Rules,
        started_at: int,
        cache_max: CacheBounds,
        sweeps: bool = True,
        publishes: bool = True,
        reader: Callable[..., Reading] | None = None,
        places: Places | None = None,
    ) -> None:
        """`publishes`: somebody wants snapshots; `reader` stands in for `read` where a batch was read before."""
        self._life, self._store, self._publisher, self._clock = life, store, publisher, clock
        self._rules, self._started_at, self._sweeps = rules, started_at, sweeps
        self._cache = Cache(life.cache, cache_max)
        self._publishes, self._read, self._places = publishes, reader or read, places
        self._drafting = Drafting(life, store, rules, sweeps=sweeps, publishes=publishes)
        self._short_ids = ShortIds(life, store, rules)
        self._saving = Saving(life, store, self._drafting)

    def run(self, batch: Batch) -> Done:
        """Take one batch through all steps; returns when it is committed.

        Raises:
            Doubt: an effect's outcome is unknown, or somebody else has overtaken this worker. Begin a new life.
        """
        life = self._life
        self._saving.take_place()
        reading = self._read(
            batch,
            life.marks,
            life.committed,
            rules=self._rules,
            places=self._places,
            started_at=self._started_at,
        )
        draft = self._drafting.draft(batch, reading, self._clock.now())
        conflicts = self._saving.save(draft)
        refused = reading.refused + account(draft, reading, batch, life.marks, life.committed)
        changes = self._changes(draft) if self._publishes else []
        self._publish(draft, changes, refused, batch)
        self._look_ahead(draft)
        self._short_ids.release(draft)
        return Done(
            track_bytes=self._forget(draft),
            records=len(batch.records),
            snapshots=len(changes),
            rejects=len(refused),
            ends=draft.ends,
            conflicts=conflicts,
            without_short_id=draft.without_short_id,
            cuts=draft.cuts,
        )

    # Steps 5 and 6: publish and commit, one transaction.

    def _changes(self, draft: Draft) -> list[Change]:
        return changes_of(draft, self._rules)

    def _publish(self, draft: Draft, changes: list[Change], refused: list[Refused], batch: Batch) -> None:
        life = self._life
        refused.sort(key=lambda one: (one.record.partition, one.record.offset))
        moved = any(draft.next[one] > life.read[one] or one not in life.committed for one in life.partitions)
        if changes or refused or moved or life.has_spoken:
            self._publisher.publish(changes, refused, self._commits(draft), batch.group)
            life.committed = {one: max(draft.next[one], life.committed.get(one, 0)) for one in life.partitions}
            life.has_spoken = False
        life.read = draft.next

    def _commits(self, draft: Draft) -> dict[Partition, Committed]:
        """Offsets with their marks; never below what is committed, and then with the clock that belongs there."""
        life, commits = self._life, {}
        for partition in life.partitions:
            mark, offset, committed = life.marks[partition], draft.next[partition], life.committed.get(partition, 0)
            if draft.end_clocks[partition] != NO_CLOCK:
                mark.end_clock = max(draft.end_clocks[partition], mark.end_clock or NO_CLOCK)
            if offset < committed:
                there = msgspec.structs.replace(mark, clock=life.clocks_committed.get(partition))
                commits[partition] = Committed(committed, there.encode())
            else:
                commits[partition] = Committed(offset, mark.encode())
        return commits

    # Afterwards: what the next turn has to do, and what need not be remembered.

    def _look_ahead(self, draft: Draft) -> None:
        """What the next turn finds to do: notes and deadlines that the store told of, and those dealt with now."""
        life = self._life
        catch_up(life, life.read)
        caught_up = [saved for shard, saved in draft.saved.items() if shard not in life.behind]
        life.published_notes = self._notes_dealt_with(draft)
        life.published_due, life.swept = deadlines.dealt_with(
            life, draft.due, draft.end_clocks, self._rules, sweeps=self._sweeps
        )
        life.swept_ids = [
            (key, (session.id, session.short_id))
            for key, _ in life.swept
            for session in life.cache[key].track.sessions
            if session.short_id is not None
        ]
        touched, left = draft.touched, draft.left
        life.noted = {
            key: one for saved in caught_up for key, one in saved.notes.items() if key not in touched or key in left
        }
        life.due = {key: due for saved in caught_up for key, due in saved.due.items() if key not in touched}
        if not life.behind and not life.noted:
            life.floors = {}
        if not life.behind and not life.told:
            self._break_silence()

    def _break_silence(self) -> None:
        """All that was noted is published: the next life need not read it again."""
        for mark in self._life.marks.values():
            if mark.silent_from is not None:
                mark.silent_from, self._life.has_spoken = None, True

    def _notes_dealt_with(self, draft: Draft) -> list[tuple[Partition, TrackKey, Token]]:
        cache = self._life.cache
        return [
            (home, key, cache[key].token if key in cache else UNWRITTEN)
            for key, home in draft.noted.items()
            if key not in draft.left
        ]

    def _forget(self, draft: Draft) -> int:
        for key, _ in self._life.swept:
            self._life.cache.pop(key, None)
        return self._cache.trim(draft.touched.values())
