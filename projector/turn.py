"""One turn of a worker, steps 1 to 6 of the protocol (design §3); the order of effects is written here, once.

    poll -> read -> load -> fold -> save -> publish -> commit

State is saved before its snapshot is published, and positions move only with the transaction that publishes. A turn
that raises `Doubt` leaves a life that must not be used again.
"""

from collections import Counter

import msgspec
from msgspec import Struct

from projector import deadlines
from projector.decode import Rejected
from projector.draft import UNWRITTEN, Draft
from projector.drafting import Drafting
from projector.enrich.event import Places
from projector.life import Life, catch_up
from projector.ports import (
    NO_CLOCK,
    Batch,
    Change,
    Clock,
    Committed,
    Offset,
    Partition,
    Publisher,
    Refused,
    Store,
    Token,
)
from projector.reading import read
from projector.route import TrackKey
from projector.rules import Rules
from projector.saving import Saving
from projector.sessionize import survivor
from projector.short_ids import ShortIds
from projector.track import Outcome, Track, revision_of


class Done(Struct):
    """What a turn did, for those who watch."""

    records: int = 0
    snapshots: int = 0
    rejects: int = 0
    ends: int = 0
    conflicts: int = 0
    without_short_id: int = 0
    cuts: Counter[str] = msgspec.field(default_factory=Counter)


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
        cache_max: int,
        sweeps: bool = True,
        places: Places | None = None,
    ) -> None:
        self._life, self._store, self._publisher, self._clock = life, store, publisher, clock
        self._rules, self._started_at, self._cache_max, self._sweeps = rules, started_at, cache_max, sweeps
        self._places = places
        self._drafting = Drafting(life, store, rules)
        self._short_ids = ShortIds(life, store, rules)
        self._saving = Saving(life, store, rules, self._drafting)

    def run(self, batch: Batch) -> Done:
        """Take one batch through all steps; returns when it is committed.

        Raises:
            Doubt: an effect's outcome is unknown, or somebody else has overtaken this worker. Begin a new life.
        """
        life = self._life
        reading = read(
            batch,
            life.marks,
            life.committed,
            rules=self._rules,
            places=self._places,
            started_at=self._started_at,
        )
        draft = self._drafting.draft(batch, reading.work, self._clock.now())
        conflicts = self._saving.save(draft)
        refused = reading.refused + self._account(draft, batch)
        changes = self._changes(draft)
        self._publish(draft, changes, refused, batch)
        self._look_ahead(draft)
        self._short_ids.release(draft)
        self._forget()
        return Done(
            records=len(batch.records),
            snapshots=len(changes),
            rejects=len(refused),
            ends=draft.ends,
            conflicts=conflicts,
            without_short_id=draft.without_short_id,
            cuts=draft.cuts,
        )

    # Steps 5 and 6: publish and commit, one transaction.

    def _account(self, draft: Draft, batch: Batch) -> list[Refused]:
        """Enter into the ledger what became of the events; gives those that were too late."""
        life = self._life
        late: dict[tuple[Partition, Offset], Rejected] = {}
        for accounts in draft.accounts.values():
            for incoming, outcome in accounts:
                ledger = life.marks[incoming.partition].ledger
                if outcome is Outcome.REDELIVERED or incoming.offset < life.committed.get(incoming.partition, 0):
                    ledger.redelivered += 1
                elif outcome is Outcome.FOLDED:
                    ledger.folded += 1
                elif outcome is Outcome.DUPLICATE:
                    ledger.duplicates += 1
                else:
                    assert isinstance(outcome, Rejected)
                    ledger.reject(outcome.reason)
                    late[incoming.partition, incoming.offset] = outcome
        if not late:
            return []
        records = ((record, late.get((record.partition, record.offset))) for record in batch.records)
        return [Refused(record, why.reason.value, why.detail) for record, why in records if why is not None]

    def _changes(self, draft: Draft) -> list[Change]:
        """Every session touched whose home is here, also where all records were skipped: that heals a lost publish."""
        changes: list[Change] = []
        for key in draft.touched:
            track = self._life.cache[key].track
            if key in draft.left or track.home is None:
                continue
            changes += self._withdrawn(draft, key, track)
            changes += [
                Change(session.id, revision_of(track, session, self._rules), session)
                for session in self._drafting.shown(draft, key)
            ]
        return changes

    def _withdrawn(self, draft: Draft, key: TrackKey, track: Track) -> list[Change]:
        """Tombstones of merged visits: of those withdrawn now, and of all where a record came again or a note waits."""
        if track.visits is None or not track.visits.merged:
            return []
        merged = track.visits.merged
        ids = merged.keys() if key in draft.noted else draft.withdrawn.get(key, set()) & merged.keys()
        return [Change(lost, merged[lost][1], None, survivor(track.visits, lost)) for lost in sorted(ids)]

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
        taken = draft.touched.keys() - draft.left
        life.noted = {key: one for saved in caught_up for key, one in saved.notes.items() if key not in taken}
        life.due = {key: due for saved in caught_up for key, due in saved.due.items() if key not in draft.touched}
        if not life.behind and not life.noted:
            life.floors = {}
        if not life.behind and not any(saved.notes for saved in draft.saved.values()):
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

    def _forget(self) -> None:
        cache = self._life.cache
        for key, _ in self._life.swept:
            cache.pop(key, None)
        while len(cache) > self._cache_max:
            del cache[next(iter(cache))]
